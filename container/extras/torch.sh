#!/bin/sh
# Fails where the base brings a Python of its own, which sees none of Debian's packages, and no PyTorch for it.
set -eu
python3 -c 'import torch; print("PyTorch", torch.__version__)' || {
    echo "byoc: the base image's Python cannot import PyTorch; take a base that has it, or the extra torch-cuda" >&2
    exit 1
}
# The base's own command runs what it is given with the base's Python, which sees none of the packages here.
python="$(command -v python3)"
cat >"$(dirname "${python}")/torchrun" <<END
#!${python}
import sys
from byoc.training.torchrun_agent import torchrun

torchrun(sys.argv[1:])
END
chmod +x "$(dirname "${python}")/torchrun"

#!/bin/sh
# Fails where the base brings a Python of its own, which sees none of Debian's packages, and no PyTorch for it.
set -eu
python3 -c 'import torch; print("PyTorch", torch.__version__)' || {
    echo "byoc: the base image's Python cannot import PyTorch; take a base that has it, or the extra torch-cuda" >&2
    exit 1
}

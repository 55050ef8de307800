#!/bin/sh
# Fails where the base's Python is one that daimojo does not come for.
set -eu
python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
    echo "byoc: the extra daimojo needs Python 3.11, and the base has $(python3 --version); take one such as debian:bookworm-slim" >&2
    exit 1
}

#!/usr/bin/env bash
# Usage: benchmarks/gpu.sh [--quick] [--out FOLDER] ...   Runs python -m benchmarks.gpu on a machine that has PyTorch with
# Lightning, but neither network nor a package manager to use: what else is needed is taken from wheels in .whl/ and from
# Debian packages (nginx, wrk) in .deb/, where these are. PYTHON=python3.12 names another Python.
set -euo pipefail

main() {
    local root tools=/tmp/byoc-gpu-tools
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    cd "$root"
    install_wheels "$tools/site"
    mkdir -p "$tools"
    unpack_debs "$tools/deb"
    export PATH="$tools/deb/usr/bin:$tools/deb/usr/sbin:$PATH:/usr/sbin"
    export LD_LIBRARY_PATH="$tools/deb/usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    export OMP_WAIT_POLICY=PASSIVE
    export PYTHONPATH="$root:$root/container/program:$root/examples/pytorch_lightning:$tools/site"
    exec "${PYTHON:-python3}" -m benchmarks.gpu "$@"
}

install_wheels() {
    compgen -G '.whl/*.whl' >/dev/null || return 0
    "${PYTHON:-python3}" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$1" .whl/*.whl ||
        echo "going on without the wheels in .whl" >&2
}

unpack_debs() {
    local deb
    for deb in .deb/*.deb; do
        [[ ! -e $deb ]] || dpkg -x "$deb" "$1"
    done
}

main "$@"

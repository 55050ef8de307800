# What train_local.sh and serve_local.sh share: where things are, and the two ways to run the program. Sourced, not run.
# shellcheck shell=bash

LOCAL_TEST=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$LOCAL_TEST")
TEST_DIR=$LOCAL_TEST/test_dir # stands for /opt/ml
DOCKER=${DOCKER:-docker}

die() {
    echo "$(basename "$0"): $1" >&2
    exit "${2:-1}"
}

# Sets IMAGE from the only argument; empty means without Docker.
read_arguments() {
    IMAGE=
    case ${1-} in
        -h | --help) usage && exit 0 ;;
        -*) die "unknown option $1; see: $0 --help" 2 ;;
    esac
    (($# <= 1)) || die "one image at most; see: $0 --help" 2
    IMAGE=${1-}
}

# Empty when the folder holds nothing but .gitkeep.
first_file_in() {
    find "$1" -mindepth 1 ! -name .gitkeep -print -quit 2>/dev/null
}

# Sets PYTHON: the one of `make install`, else any python3 that has the packages.
find_python() {
    local packages='import sys; from importlib.util import find_spec
sys.exit(any(find_spec(name) is None for name in ("flask", "gunicorn", "sklearn", "skops")))'
    PYTHON=$ROOT/.venv/bin/python
    [[ -x $PYTHON ]] || PYTHON=$(command -v python3) || die "python3 isn't installed: install Python 3.11 or newer"
    "$PYTHON" -c "$packages" 2>/dev/null || die "$PYTHON lacks the packages of requirements.txt; run: make install"
    # nginx lives in /usr/sbin on Debian, which a user's PATH may lack.
    export PATH=${PYTHON%/*}:$PATH:/usr/sbin:/usr/local/sbin
    export PYTHONPATH=$ROOT/container/program PYTHONUNBUFFERED=1 SAGEMAKER_BASE_DIR=$TEST_DIR
}

check_image() {
    local reason
    command -v "$DOCKER" >/dev/null ||
        die "the Docker client '$DOCKER' isn't installed; install Docker, or run without it: $0"
    reason=$("$DOCKER" version --format '{{.Server.Version}}' 2>&1 >/dev/null) ||
        die "no Docker daemon answers (${reason%%$'\n'*}); start Docker, or run without it: $0"
    "$DOCKER" image inspect "$IMAGE" >/dev/null 2>&1 || die "image $IMAGE isn't built; run: make image IMAGE=$IMAGE"
}

# Usage: run_until_stopped STOP_COMMAND COMMAND...   The exit status is the command's.
# The command runs in the background, because bash acts on a signal only between foreground commands:
# Ctrl-C and SIGTERM run STOP_COMMAND, and the script goes on when COMMAND has ended.
run_until_stopped() {
    local stop=$1 status interrupted=yes
    shift
    "$@" &
    CHILD=$!
    trap 'interrupted=yes; $stop' INT TERM HUP
    while [[ -n $interrupted ]]; do
        interrupted='' status=0
        wait "$CHILD" || status=$?
    done
    trap - INT TERM HUP
    return "$status"
}

stop_child() {
    kill -TERM "$CHILD" 2>/dev/null || true
}

# By name, not by a signal to the client: what a client with a terminal does with signals differs by version.
stop_container() {
    "$DOCKER" stop -t "$GRACE" "$CONTAINER" >/dev/null 2>&1 || stop_child
}

# Usage: run_container GRACE DOCKER_RUN_ARGUMENT...   GRACE: seconds from SIGTERM to SIGKILL, as SageMaker allows.
run_container() {
    local name arguments
    GRACE=$1 CONTAINER=byoc-$(basename "$0" .sh | tr _ -)-$$
    shift
    arguments=(--rm --name "$CONTAINER")
    [[ ! -t 1 ]] || arguments+=(--tty)
    while read -r name; do
        arguments+=(--env "$name")
    done < <(compgen -e | grep -E '^(SAGEMAKER|MODEL_SERVER)_' | grep -vxE 'SAGEMAKER_(BASE_DIR|BIND_TO_PORT)')
    run_until_stopped stop_container "$DOCKER" run "${arguments[@]}" "$@"
}

#!/usr/bin/env bash
# Serves the model that train_local.sh left, as a SageMaker endpoint does.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"

usage() {
    cat <<END
Usage: $0 [IMAGE]

Serves the model in local_test/test_dir/model on http://localhost:8080 until Ctrl-C.

  $0             without Docker: runs container/program/serve
  $0 byoc        runs the image 'byoc'; build it by: make image
  PORT=9090 $0   on another port

Environment: PORT; DOCKER, the Docker client to use; SAGEMAKER_* and MODEL_SERVER_* reach the program,
for example MODEL_SERVER_WORKERS=2.
END
}

check_model() {
    [[ -n $(first_file_in "$TEST_DIR/model") ]] ||
        die "the model isn't trained yet; run: $(dirname "$0")/train_local.sh${IMAGE:+ $IMAGE}"
}

# Who listens on the port, as far as this user may know.
port_owner() {
    local owner
    owner=$(ss -Hltnp "sport = :$PORT" 2>/dev/null |
        sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (pid \2)/p' | head -n 1) || true
    echo "${owner:-another program}"
}

check_port() {
    [[ $PORT =~ ^[1-9][0-9]{0,4}$ && $PORT -le 65535 ]] || die "PORT is a number from 1 to 65535, not '$PORT'"
    if (: <>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
        die "port $PORT is taken by $(port_owner); choose another: PORT=$((PORT % 65535 + 1)) $0${IMAGE:+ $IMAGE}"
    fi
}

main() {
    PORT=${PORT:-8080}
    read_arguments "$@"
    [[ -z $IMAGE ]] || check_image
    check_model
    check_port
    [[ -n $IMAGE ]] || find_python
    echo "Next, in another terminal:  $([[ $PORT == 8080 ]] || echo "PORT=$PORT ")$(dirname "$0")/predict.sh $LOCAL_TEST/payloads/iris.csv"
    if [[ -n $IMAGE ]]; then
        # Read-only, as on SageMaker; on this machine's own address alone.
        run_container 30 --mount "type=bind,source=$TEST_DIR,target=/opt/ml,readonly" --publish "127.0.0.1:$PORT:8080" \
            "$IMAGE" serve
    else
        echo "No image given: serving without Docker, by $PYTHON"
        SAGEMAKER_BIND_TO_PORT=$PORT exec "$PYTHON" "$ROOT/container/program/serve"
    fi
}

main "$@"

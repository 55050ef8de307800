#!/usr/bin/env bash
# Trains on local_test/test_dir as SageMaker trains on /opt/ml.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"

usage() {
    cat <<END
Usage: $0 [IMAGE]

Trains on local_test/test_dir, which mirrors /opt/ml: the data is in input/data/training, the hyperparameters
are in input/config/hyperparameters.json. What an earlier training left in model/ and output/ is removed first.

  $0          without Docker: runs container/program/train
  $0 byoc     runs the image 'byoc'; build it by: make image

Environment: DOCKER, the Docker client to use; SAGEMAKER_* and MODEL_SERVER_* reach the program.
END
}

# The first file or folder outside input/ that another user owns.
foreign_file() {
    find "$TEST_DIR" -mindepth 1 -path "$TEST_DIR/input" -prune -o ! -user "$(id -u)" -print -quit 2>/dev/null
}

# The image runs as root, as on SageMaker; what it wrote becomes the user's own again.
hand_back() {
    [[ -n $IMAGE && $(id -u) != 0 && -n $(foreign_file) ]] || return 0
    "$DOCKER" run --rm --network none --mount "type=bind,source=$TEST_DIR,target=/opt/ml" --entrypoint find "$IMAGE" \
        /opt/ml -mindepth 1 -path /opt/ml/input -prune -o -user root -exec chown -h "$(id -u):$(id -g)" {} + ||
        echo "$(basename "$0"): files of root are left; run: sudo chown -R $(id -un) '$TEST_DIR'" >&2
}

clean() {
    local folder
    hand_back # what a killed run may have left
    for folder in "$TEST_DIR/model" "$TEST_DIR/output"; do
        [[ ! -L $folder ]] || die "$folder is a link, and what it points to won't be emptied; remove the link"
        mkdir -p "$folder"
        (cd "$folder" && find . -mindepth 1 ! -path ./.gitkeep -delete) ||
            die "cannot empty $folder; run: sudo chown -R $(id -un) '$TEST_DIR'"
    done
}

train() {
    if [[ -n $IMAGE ]]; then
        run_container 120 --mount "type=bind,source=$TEST_DIR,target=/opt/ml" "$IMAGE" train
    else
        run_until_stopped stop_child "$PYTHON" "$ROOT/container/program/train"
    fi
}

explain_failure() {
    local failure=$TEST_DIR/output/failure reason
    [[ -s $failure ]] || die "training ended with exit code $1" "$1"
    reason=$(head -n 1 "$failure")
    die "training failed: $reason (more in $failure)" "$1"
}

main() {
    local status=0 report=$TEST_DIR/output/data/report.html
    read_arguments "$@"
    if [[ -n $IMAGE ]]; then
        check_image
        trap hand_back EXIT
    else
        find_python
        echo "No image given: training without Docker, by $PYTHON"
    fi
    clean
    train || status=$?
    ((status == 0)) || explain_failure "$status"
    [[ -n $(first_file_in "$TEST_DIR/model") ]] || die "training ended well, yet left no model in $TEST_DIR/model"
    echo
    echo "Model:   $TEST_DIR/model"
    [[ ! -e $report ]] || echo "Report:  $report"
    echo "Next:    $(dirname "$0")/serve_local.sh${IMAGE:+ $IMAGE}"
}

main "$@"

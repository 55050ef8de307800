#!/usr/bin/env bash
# Posts a payload to the server that serve_local.sh started and prints the answer.
set -euo pipefail

usage() {
    cat <<END
Usage: $0 PAYLOAD [CONTENT_TYPE]

Posts PAYLOAD, a file or - for standard input, to http://localhost:8080/invocations and prints the answer.
CONTENT_TYPE follows from the suffix: .csv text/csv, .json application/json, .jsonl application/jsonlines;
it is text/csv where the suffix says nothing.

  $0 local_test/payloads/iris.csv
  ACCEPT=application/json $0 local_test/payloads/iris.csv
  echo 5.1,3.5,1.4,0.2 | PORT=9090 $0 -

Environment: PORT; ACCEPT, the media type of the answer.
END
}

die() {
    echo "$(basename "$0"): $1" >&2
    exit "${2:-1}"
}

content_type_of() {
    case $1 in
        *.json) echo application/json ;;
        *.jsonl) echo application/jsonlines ;;
        *) echo text/csv ;;
    esac
}

# Usage: post PAYLOAD CONTENT_TYPE   Writes the answer to $ANSWER and prints the HTTP status.
post() {
    local code=0 status arguments=(--header "Content-Type: $2")
    [[ -z ${ACCEPT-} ]] || arguments+=(--header "Accept: $ACCEPT")
    # No proxy: the server is on this machine. No Expect: it would cost a large payload a second.
    status=$(curl --silent --show-error --noproxy '*' --header Expect: "${arguments[@]}" --data-binary "@$1" \
        --output "$ANSWER" --write-out '%{http_code}' "http://127.0.0.1:$PORT/invocations" 2>"$ANSWER.error") || code=$?
    case $code in
        0) echo "$status" ;;
        7) die "nothing listens on port $PORT; start the server first: $(dirname "$0")/serve_local.sh" ;;
        *) die "no answer from port $PORT: $(head -n 1 "$ANSWER.error")" ;;
    esac
}

main() {
    local status scratch
    case ${1-} in
        -h | --help) usage && exit 0 ;;
        -?*) die "unknown option $1; see: $0 --help" 2 ;;
    esac
    (($# == 1 || $# == 2)) || die "one payload is needed, and a content type at most; see: $0 --help" 2
    [[ $1 == - || -r $1 && ! -d $1 ]] || die "there is no payload $1; try: $(dirname "$0")/payloads/iris.csv"
    command -v curl >/dev/null || die "curl isn't installed; install it"
    PORT=${PORT:-8080}
    scratch=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder's name is known now
    trap "rm -r '$scratch'" EXIT
    ANSWER=$scratch/answer
    status=$(post "$1" "${2:-$(content_type_of "$1")}")
    [[ $status == 2?? ]] || die "the server answered $status: $(cat "$ANSWER")"
    cat "$ANSWER"
    # An answer without a last newline would run into the prompt.
    [[ ! -t 1 || -z $(tail -c 1 "$ANSWER") ]] || echo
}

main "$@"

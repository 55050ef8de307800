#!/usr/bin/env bash
# Usage: install_tools.sh [PACKAGE...]   Makes sure that curl and nginx are there, and installs the packages named,
# if that can be done unasked; serving goes on without nginx.
set -euo pipefail

# nginx lives in /usr/sbin on Debian, which a user's PATH may lack.
has() {
    [[ -n $(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v "$1") ]]
}

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >/dev/null 2>&1
}

# A fresh machine has no package lists yet, or old ones.
install() {
    apt install -y --no-install-recommends "$@" || { apt update && apt install -y --no-install-recommends "$@"; }
}

# Debian starts nginx on port 80 after an install, and again at every boot. Only the program is wanted.
stop_service() {
    if [[ -d /run/systemd/system ]]; then
        as_root systemctl disable --now nginx
    else
        as_root service nginx stop
    fi >/dev/null 2>&1 || true
}

main() {
    local missing=("$@")
    has curl || missing+=(curl)
    has nginx || missing+=(nginx-light)
    ((${#missing[@]})) || exit 0
    if has apt-get && as_root true 2>/dev/null; then
        echo "Installing ${missing[*]} (apt-get install)"
        install "${missing[@]}" || true
        [[ ${missing[*]} != *nginx* ]] || stop_service
    fi
    has curl || { echo "curl isn't here and cannot be installed unasked; try: apt-get install curl" >&2 && exit 1; }
    has nginx || echo "nginx isn't here and cannot be installed unasked (try: apt-get install nginx-light): going on without it"
}

main "$@"

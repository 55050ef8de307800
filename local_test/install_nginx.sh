#!/usr/bin/env bash
# Makes sure that nginx is there, if that can be done unasked; serving goes on without it.
set -euo pipefail

has_nginx() {
    [[ -n $(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx) ]]
}

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >/dev/null 2>&1
}

# A fresh machine has no package lists yet, or old ones.
install_nginx() {
    apt install -y --no-install-recommends nginx-light ||
        { apt update && apt install -y --no-install-recommends nginx-light; }
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
    ! has_nginx || exit 0
    if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
        echo "Installing nginx (apt-get install nginx-light)"
        install_nginx && stop_service
    fi
    has_nginx || echo "nginx isn't here and cannot be installed unasked (try: apt-get install nginx-light): going on without it"
}

main "$@"

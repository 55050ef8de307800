#!/bin/sh
# Usage: debian.sh FOLDER EXTRAS   Installs what the image and its extras, names with commas between, need of Debian.
# A base may bring its own Python, and its own packages for it: what can be imported is not installed once more.
set -eu

fail() {
    echo "byoc: $1" >&2
    exit 1
}

# Usage: is_there PACKAGE   Whether the base's own Python has what Debian calls python3-NAME.
is_there() {
    case $1 in
        python3-*) python3 -c "import ${1#python3-}" 2>/dev/null ;;
        *) return 1 ;;
    esac
}

command -v apt-get >/dev/null || fail 'the base image has no apt-get; take one of Debian or Ubuntu, or one made from those'
set -- "$1" "$2" bash ca-certificates nginx-light
python3 -c 'import ensurepip, venv' 2>/dev/null || set -- "$@" python3 python3-venv
folder=$1 extras=$2
shift 2
for extra in $(echo "$extras" | tr , ' '); do
    [ -e "$folder/$extra.txt" ] || fail "there is no extra $extra; there are: $(cd "$folder" && echo ./*.txt | sed 's:\./\([^ ]*\)\.txt:\1:g')"
    [ -e "$folder/$extra.apt" ] || continue
    # Behind a package on its line stands what is of use only with it.
    while read -r package more; do
        # shellcheck disable=SC2086 # words, none of them or several
        is_there "$package" || set -- "$@" "$package" $more
    done <"$folder/$extra.apt"
done
set -x
apt-get update
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/*
set +x
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "the base image has $(python3 --version), and 3.11 or newer is needed; take a newer base"

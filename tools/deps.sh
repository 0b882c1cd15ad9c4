#!/bin/sh
# Installs the named Debian packages that are missing, when it may; else prints the line that does.
set -eu
missing=
for p in "$@"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
line="apt-get install -y --no-install-recommends$missing"
sudo=
[ "$(id -u)" = 0 ] || sudo="sudo -n"
if ! command -v apt-get >/dev/null; then
    echo "deps: this is no Debian or Ubuntu; the packages wanted are:$missing" >&2
    exit 1
fi
echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
if ! { $sudo $line || { $sudo apt-get update && $sudo $line; }; } >build-deps.log 2>&1; then
    tail -n 5 build-deps.log >&2
    echo "deps: could not install; run as root: apt-get update && $line" >&2
    exit 1
fi
rm -f build-deps.log

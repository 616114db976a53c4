#!/bin/sh
#
# build-clients.sh [--found] NAME: Python packages for tests, from PyPI, each
# set in a virtual environment of its own:
#
#   influx     influxdb 5.3.2, influxdb-client 1.50.0, influxdb3-python 0.21.0:
#              InfluxDB's own clients, for t/write-clients.t
#   django     Django 5.2.19, for t/own-recipes.t
#
# Prints the path of its python3; when there can be none, the reason in one
# line, and exits with 1.  What was installed stays in ~/.cache; with --found
# nothing is installed.  It takes half a minute the first time.
#
set -eu

found=
if [ "${1:-}" = --found ]; then
    found=1
    shift
fi
name=${1:?usage: build-clients.sh [--found] NAME}
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/imx-clients
limit=${IMX_BUILD_LIMIT:-300}

. "$(dirname "$0")/build-common.sh"

case $name in
influx) packages='influxdb==5.3.2 influxdb-client==1.50.0
    influxdb3-python==0.21.0' ;;
django) packages='Django==5.2.19' ;;
*) die "no set '$name'" ;;
esac
# Others in the set are another environment.
sum=$(echo "$packages" | cksum | cut -d' ' -f1)
dir=$cache/$name-$sum
if [ ! -e "$dir/ready" ]; then
    [ -z "$found" ] || die "$name is not there: make test gets it"
    for command in python3 timeout flock cksum; do
        command -v "$command" >/dev/null ||
            die "there is no '$command', which $name needs"
    done
    mkdir -p "$cache" || die "cannot write to $cache"
    exec 9>"$dir.lock"
    flock -w "$limit" 9 || die "another installation of $name does not end"
fi
if [ ! -e "$dir/ready" ]; then
    rm -rf "$dir"
    { python3 -m venv "$dir" && timeout "$limit" "$dir/bin/python3" -m pip \
        install -q --disable-pip-version-check $packages; } \
        >"$dir.log" 2>&1 </dev/null ||
        die "cannot install $name: $(tail -n 1 "$dir.log")"
    : >"$dir/ready"
fi
echo "$dir/bin/python3"

#!/bin/sh
#
# compat.sh: `make compat': builds the module with each apxs of APXS, in a build
# directory of its own, and tries it in that apxs' httpd: t/long/compat.t.  Ends with
# a row for each in the form of the table in docs/compatibility.md.
#
set -eu

cd "$(dirname "$0")/.."
rows=
failed=
number=0
for apxs in $APXS; do
    number=$((number + 1))
    build=$BUILD/compat/$number
    "$MAKE" --no-print-directory BUILD="$build" APXS="$apxs" all || {
        failed="$failed $apxs"
        continue
    }
    IMX_BUILD=$build IMX_APXS=$apxs IMX_COMPAT=1 prove -It/lib t/long/compat.t ||
        failed="$failed $apxs"
    [ ! -e "$build/compat.txt" ] || rows="$rows$(cat "$build/compat.txt")
"
done
printf '%s' "$rows"
if [ -n "$failed" ]; then
    echo "compat.sh: this failed:$failed" >&2
    exit 1
fi

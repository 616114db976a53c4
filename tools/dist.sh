#!/bin/sh
#
# dist.sh list: the names of the source files, sorted.
# dist.sh FILE: a tarball of them.  The same sources make the same bytes,
# wherever and whenever; their date is that of debian/changelog.
# Works in a clone, and in what it made itself.
#
set -eu

cd "$(dirname "$0")/.."

list() {
    if [ -e .git ]; then
        git ls-files -co --exclude-standard | while read -r file; do
            [ ! -e "$file" ] && [ ! -h "$file" ] || echo "$file"
        done
    else
        find . ! -type d ! -path './build/*' ! -path './*.tar.gz' | cut -c3-
    fi | LC_ALL=C sort
}

if [ "$1" = list ]; then
    list
    exit 0
fi
out=$1
version=$(sed -n 's/^#define IMX_VERSION "\(.*\)"/\1/p' src/base/version.h)
changed=$(sed -n 's/^ -- .*>  //p' debian/changelog | head -1)
list | tar --no-recursion -T - --transform "s,^,mod_influx_metrics-$version/,S" \
    --mtime="$changed" --owner=0 --group=0 --numeric-owner \
    --mode=u=rwX,go=rX --format=gnu -cf - | gzip -9n >"$out"

#!/bin/sh
#
# build-nginx.sh [MODULE...]: Debian's nginx and its headers, unpacked beside
# each other and not installed, and a dynamic module for each checkout of
# nginx-module-vts or nginx-influxdb-module that is named (no registry has these).
# For bench/peers.pl.
#
# Prints a directory with usr/sbin/nginx and modules/*.so; when there can be
# none, the reason in one line, and exits with 1.  What is built stays in ~/.cache.
#
set -eu

cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/imx-nginx

. "$(dirname "$0")/build-common.sh"

for command in apt-get dpkg make cc; do
    command -v "$command" >/dev/null ||
        die "there is no '$command', which nginx needs"
done
mkdir -p "$cache/packages" "$cache/modules" || die "cannot write to $cache"

unpack() {
    cd "$cache/packages" && apt-get -qq download nginx nginx-dev &&
        dpkg -x nginx-dev_*.deb "$cache" && dpkg -x nginx_*.deb "$cache"
}

# The options that are part of what makes a module fit (--with-compat makes the
# others so).
build() {
    rm -rf "$cache/source" "$cache/objs"
    cp -r "$cache/usr/share/nginx/src" "$cache/source" &&
        cd "$cache/source" &&
        ./configure --builddir="$cache/objs" --with-compat --with-debug \
            --with-threads --with-http_ssl_module --with-pcre-jit \
            --with-cc-opt='-O2 -g -Wno-error' --add-dynamic-module="$1" &&
        make -f "$cache/objs/Makefile" modules &&
        cp "$cache"/objs/*.so "$cache/modules/" && : >"$2"
}

[ -x "$cache/usr/sbin/nginx" ] || (unpack) >"$cache/log" 2>&1 ||
    die "cannot get nginx: $(tail -n 1 "$cache/log")"
for module; do
    [ -f "$module/config" ] || die "$module is no module of nginx"
    done=$cache/modules/$(basename "$module").built
    [ -e "$done" ] || (build "$module" "$done") >"$cache/log" 2>&1 ||
        die "cannot build $module: $(tail -n 1 "$cache/log")"
done
echo "$cache"

#!/bin/sh
#
# install-conf.sh: what `make install` does after the module is in its place.
# Where httpd's configuration is laid out as Debian does it (mods-available),
# copies conf/influx_metrics.load and .conf there; then says what to do next.
# A file that is there already and differs is not touched: the new one is put
# beside it as .dist.
#
# --remove: takes away what is as it was copied, for `make uninstall'.
#
#   DESTDIR   before every path; Debian's layout is then made if need be
#   APXS      the apxs to ask
#
set -eu

conf=$(dirname "$0")/../conf
apxs=${APXS:-$(command -v apxs || command -v apxs2)}
etc=$("$apxs" -q SYSCONFDIR)
available=${DESTDIR:-}$etc/mods-available
module=$("$apxs" -q LIBEXECDIR)/mod_influx_metrics.so

# Without DESTDIR the layout has to be there: apache2-dev alone does not make
# it.  With DESTDIR it is enough that this apxs is Debian's.
if [ -n "${DESTDIR:-}" ] && [ "$etc" = /etc/apache2 ]; then
    mkdir -p "$available"
fi

put() {
    if [ -e "$available/$1" ] && ! cmp -s "$conf/$1" "$available/$1"; then
        install -m 644 "$conf/$1" "$available/$1.dist"
        echo "kept your $available/$1, the new one is $1.dist beside it"
    else
        install -m 644 "$conf/$1" "$available/$1"
        echo "installed $available/$1"
    fi
}

# What the administrator has changed stays, and so does the .load file as long
# as httpd reads it.
take_away() {
    if [ -h "$etc_enabled/$1" ]; then
        echo "kept $available/$1: it is switched on, so a2dismod influx_metrics"
    elif cmp -s "$conf/$1" "$available/$1"; then
        rm -f "$available/$1" "$available/$1.dist"
        echo "removed $available/$1"
    elif [ -e "$available/$1" ]; then
        echo "kept your $available/$1"
    fi
}

etc_enabled=${DESTDIR:-}$etc/mods-enabled

if [ "${1:-}" = --remove ]; then
    take_away influx_metrics.load
    take_away influx_metrics.conf
    exit 0
fi

if [ -d "$available" ]; then
    put influx_metrics.load
    put influx_metrics.conf
    echo 'next: a2enmod influx_metrics && systemctl reload apache2'
else
    echo 'next: add these lines to the configuration of httpd and restart it'
    echo "    LoadModule influx_metrics_module $module"
    echo '    InfluxMetrics On'
fi

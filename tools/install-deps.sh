#!/bin/sh
#
# install-deps.sh [--check] GROUP...: installs what a group of make targets needs
# and this machine lacks.  Says nothing and changes nothing when nothing is
# missing.  With --check it installs nothing: it names what is missing and fails.
#
#   build   the module                     test    make test
#   demo    make demo                      bench   make bench
#   pictures make pictures
#   check   make check       clang   make fuzz: clang with its sanitizers
#   peers   make bench-peers, beside bench
#   suite   make httpd-suite   package make test-package
#
# Debian and Ubuntu only, as root or with sudo.  Elsewhere it names the commands
# that are missing and fails.
#
set -eu

die() {
    echo "install-deps.sh: $*" >&2
    exit 1
}

# apache2-bin and not apache2: the server and its modules (the MPMs too) are in
# it, while apache2 brings a site and a service.
build='gcc libc6-dev make perl apache2-dev libcurl4-openssl-dev zlib1g-dev'
# A browser, and letters for it.
browser='chromium fonts-dejavu-core'
server='apache2-bin apache2-utils perl influxdb libapache2-mod-wsgi-py3'
packages=
commands=
want_go=
want_runtimes=
want_clang=
check=
[ "${1:-}" != --check ] || { check=1; shift; }
[ $# -gt 0 ] || die "usage: install-deps.sh [--check]" \
    "build|test|check|demo|bench|peers|pictures|package|clang|suite..."
for group; do
    case $group in
    build)
        packages="$packages $build"
        commands="$commands gcc make perl apxs curl-config" ;;
    test)
        packages="$packages $build $server libcmocka-dev victoria-metrics
            locales pkg-config openssl curl nghttp2-client bindfs
            libapache2-mod-security2 libapache2-mod-perl2
            prometheus prometheus-apache-exporter python3-venv php-cgi
            libapache2-mod-php python3-pyte fakeroot sqlite3 postgresql
            libaprutil1-dbd-sqlite3 libaprutil1-dbd-pgsql libaprutil1-dbd-mysql
            rpm mariadb-server-core mariadb-client-core valgrind strace
            $browser"
        want_runtimes=1
        commands="$commands gcc make apxs curl-config perl prove ab curl influxd
            victoria-metrics h2load openssl bindfs prometheus promtool
            prometheus-apache-exporter chromium sqlite3 psql mariadbd
            valgrind strace" ;;
    demo)
        packages="$packages $build $server wrk"
        commands="$commands gcc make apxs curl-config perl ab influxd wrk"
        want_go=1 ;;
    pictures)
        packages="$packages $build $server $browser python3-pyte"
        commands="$commands gcc make apxs curl-config perl influxd chromium
            python3" ;;
    bench)
        packages="$packages $build $server wrk valgrind python3-dev
            python3-venv"
        commands="$commands gcc make apxs curl-config perl ab influxd wrk
            valgrind python3"
        want_go=1 ;;
    peers)
        # nginx is unpacked, not installed: tools/build-nginx.sh.
        packages="$packages prometheus-apache-exporter libpcre2-dev libssl-dev
            zlib1g-dev"
        commands="$commands prometheus-apache-exporter"
        want_go=1 ;;
    package)
        packages="$packages $build lintian blhc devscripts fakeroot"
        commands="$commands lintian blhc hardening-check fakeroot" ;;
    suite)
        packages="$packages $build $server nghttp2-client libnghttp2-dev curl
            python3-venv pebble openssl"
        commands="$commands gcc make apxs curl-config perl influxd nghttp
            h2load curl python3" ;;
    check)
        packages="$packages $build libcmocka-dev perl clang clang-format
            cppcheck"
        commands="$commands gcc make apxs curl-config perl prove clang
            clang-format cppcheck" ;;
    clang)
        packages="$packages gcc libc6-dev make clang"
        commands="$commands clang"
        want_clang=1 ;;
    *)
        die "no group '$group': build, test, check, demo, bench, peers, pictures," \
            "package, clang or suite" ;;
    esac
done

is_debian() {
    [ -r /etc/os-release ] && command -v apt-get >/dev/null || return 1
    (
        . /etc/os-release
        case " ${ID:-} ${ID_LIKE:-} " in
        *' debian '* | *' ubuntu '*) ;;
        *) exit 1 ;;
        esac
    )
}

# The names among the arguments that are not installed.
not_installed() {
    have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" \
        2>/dev/null | sed -n 's/^installed //p') || :
    for name; do
        case "
$have
" in
        *"
$name
"*) ;;
        *) echo "$name" ;;
        esac
    done | sort -u
}

# The sanitizer runtimes are in a package that has clang's version in its name,
# and before version 14 in libclang-common-N-dev, on which clang depends.
clang_runtime() {
    version=$(dpkg-query -W -f '${Version}' clang 2>/dev/null) ||
        version=$(apt-cache show clang 2>/dev/null |
            sed -n '/^Version: /{s///p;q}')
    major=${version#*:}
    major=${major%%.*}
    [ "${major:-0}" -lt 14 ] || echo "libclang-rt-$major-dev"
}

policy=/usr/sbin/policy-rc.d
made_policy=

cleanup() {
    if [ -n "$made_policy" ]; then
        $sudo rm -f "$policy"
        made_policy=
    fi
}

# Debian starts a service when its package is installed.  We want influxd's and
# victoria-metrics' programs only, so for the time of the installation this
# file (which invoke-rc.d asks) forbids it.  One that is there already is its
# owner's word and stays as it is.
forbid_services() {
    [ ! -e "$policy" ] || return 0
    trap cleanup EXIT
    trap 'exit 1' HUP INT TERM
    made_policy=1
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
}

apt() {
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o \
        Dpkg::Use-Pty=0 "$@" </dev/null
}

install_packages() {
    echo "install-deps.sh: installing $(echo $*)"
    enabled=$(ls /etc/apache2/mods-enabled 2>/dev/null) || :
    apt install -y --no-install-recommends "$@" >&2 || return 1
    # Where Debian's apache2 is installed, mod_wsgi and mod_php have just been
    # switched on in it; nobody asked for that.
    for file in $(ls /etc/apache2/mods-enabled 2>/dev/null); do
        case "$file $enabled" in
        *.load\ *"$file"*) ;;
        wsgi.load\ * | php*.load\ *) $sudo a2dismod -q "${file%.load}" ;;
        esac
    done
}

# By what works, not by packages: httpd may be of one's own making.
if [ -n "$check" ]; then
    missing=
    for name in $commands; do
        case $name in
        gcc) name=${CC:-cc} ;;
        apxs) name=${APXS:-apxs} ;;
        esac
        # ${CC} can be a command with words behind it.
        command -v "${name%% *}" >/dev/null || missing="$missing $name"
    done
    for header in zlib.h curl/curl.h; do
        echo "#include <$header>" |
            ${CC:-cc} ${CPPFLAGS:-} -E - >/dev/null 2>&1 ||
            missing="$missing $header"
    done
    [ -z "$missing" ] || die "these are missing:$missing. On Debian and" \
        "Ubuntu \`make deps' installs what building and testing need; for" \
        "this step: apt-get install $(echo $packages)"
    exit 0
fi

if ! is_debian; then
    missing=
    for name in $commands; do
        command -v "$name" >/dev/null || missing="$missing $name"
    done
    [ -z "$missing" ] || die "this is not Debian or Ubuntu, so please install" \
        "what provides these commands:$missing"
    exit 0
fi

missing=$(not_installed $packages)
extra=
if [ -n "$want_clang" ]; then
    runtime=$(clang_runtime)
    [ -z "$runtime" ] || extra=$(not_installed "$runtime")
fi
# Optional: without Go the load comes from wrk.
if [ -n "$want_go" ] && ! command -v go >/dev/null; then
    extra="$extra golang-go"
fi
# Applications in t/own-recipes.t; wherever these come from.
if [ -n "$want_runtimes" ]; then
    command -v java >/dev/null || extra="$extra default-jdk-headless"
    command -v node >/dev/null || extra="$extra nodejs"
fi
[ -n "$missing$extra" ] || exit 0

sudo=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "not root and no sudo, so please" \
        "install these packages:" $missing $extra
    sudo=sudo
fi
forbid_services
apt update >&2 || echo 'install-deps.sh: apt-get update failed, trying on' >&2
if [ -n "$missing" ]; then
    install_packages $missing || die "apt-get could not install:" $missing
fi
for name in $extra; do
    install_packages "$name" ||
        echo "install-deps.sh: going on without $name" >&2
done

#!/bin/sh
#
# build-influxd.sh [DIR]: builds the server of InfluxDB 2.7 from the Go module
# proxy and crates.io, for t/v2-influxdb.t.  Debian has no package of it.
#
# The first time takes about 5 minutes on 2 cores; the program then stays in DIR
# (~/.cache/influxd-VERSION).  Prints its path; when there can be none, the
# reason in one line, and exits with 1.  How it goes is told on stderr.
#
# Needs go (1.23), cargo, gcc and pkg-config.  Nothing asks for input; all of it
# ends after IMX_BUILD_LIMIT seconds (720).
#
set -eu

version=v2.7.12
dir=${1:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/influxd-$version}
limit=${IMX_BUILD_LIMIT:-720}

. "$(dirname "$0")/build-common.sh"

found() {
    [ -x "$dir/influxd" ] || return 1
    echo "$dir/influxd"
}

found && exit 0
for name in go cargo gcc pkg-config timeout flock; do
    command -v "$name" >/dev/null ||
        die "there is no '$name', which InfluxDB $version is built with"
done
mkdir -p "$dir/module" "$dir/tools" || die "cannot write to $dir"
dir=$(cd "$dir" && pwd)

# Two builds at once would write the same files; the second one waits.
exec 9>"$dir/lock"
flock -w "$limit" 9 || die "another build in $dir does not end"
found && exit 0

echo "build-influxd.sh: building InfluxDB $version, about 5 minutes," \
    "$dir/log tells how far it is" >&2
export CI=true CARGO_NET_GIT_FETCH_WITH_CLI=false GIT_TERMINAL_PROMPT=0

# rust-toolchain.toml of Flux names an old compiler, which rustup would fetch:
# the one that is here does it.
if command -v rustup >/dev/null; then
    RUSTUP_TOOLCHAIN=$(cd / && rustup show active-toolchain | cut -d' ' -f1)
    export RUSTUP_TOOLCHAIN
fi

cd "$dir/module"
cat >go.mod <<END
module influxd-for-tests
go 1.23.0
require github.com/influxdata/influxdb/v2 $version
require github.com/influxdata/pkg-config v0.2.14
replace github.com/nats-io/nats-streaming-server v0.11.2 => github.com/influxdata/nats-streaming-server v0.11.3-0.20201112040610-c277f7560803
END
cat >tools.go <<'END'
//go:build tools

package tools

import (
	_ "github.com/influxdata/influxdb/v2/cmd/influxd"
	_ "github.com/influxdata/pkg-config"
)
END
# Flux forbids warnings, and newer compilers know more of them than it did.
printf '#!/bin/sh\nexec "$@" --cap-lints warn\n' >"$dir/tools/rustc-wrap"
chmod 755 "$dir/tools/rustc-wrap"

# cgo asks pkg-config for libflux; InfluxData's own one builds it with cargo.
cat >"$dir/tools/build" <<'END'
set -eu
GOBIN=$dir/tools go install -mod=mod github.com/influxdata/pkg-config
PKG_CONFIG=$dir/tools/pkg-config RUSTC_WRAPPER=$dir/tools/rustc-wrap \
    go build -mod=mod -tags sqlite_foreign_keys,sqlite_json \
    -ldflags "-s -w -X main.version=$version" -o "$dir/influxd.part" \
    github.com/influxdata/influxdb/v2/cmd/influxd
END
export dir version
rv=0
timeout -k 10 "$limit" sh "$dir/tools/build" \
    >"$dir/log" 2>&1 </dev/null || rv=$?
[ $rv -ne 124 ] || die "InfluxDB $version was not built within $limit s"
if [ $rv -ne 0 ]; then
    tail -n 5 "$dir/log" >&2
    die "InfluxDB $version could not be built:" \
        "$(grep -v '^[[:space:]]*$' "$dir/log" | tail -n 1)"
fi
mv "$dir/influxd.part" "$dir/influxd"
found

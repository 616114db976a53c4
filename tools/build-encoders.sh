#!/bin/sh
#
# build-encoders.sh NAME: the encoders of line protocol that bench/encoders.pl
# compares with (their programs are in bench/encoders):
#
#   line-protocol   influxdata/line-protocol 2.2.1   from the Go module proxy
#   telegraf        Telegraf 1.37.2's serializer     from the Go module proxy
#   questdb-rs      questdb-rs 7.2.1                 from crates.io
#   questdb-c       c-questdb-client: from a checkout of it, QUESTDB_C=DIR, as it
#                   is in no registry
#
# Prints the program's path; when there can be none, the reason in one line, and
# exits with 1.  What is built stays in ~/.cache.  Minutes the first time.
#
set -eu

name=${1:?usage: build-encoders.sh NAME}
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/imx-encoders
limit=${IMX_BUILD_LIMIT:-1500}
sources=$(cd "$(dirname "$0")/../bench/encoders" && pwd)

. "$(dirname "$0")/build-common.sh"

# go_build MODULE VERSION: a module that requires just this one.  Its own go.sum
# comes from the proxy's checksum database.
go_build() {
    mkdir -p "$dir/module"
    cd "$dir/module"
    cp "$sources/peer.go" "$sources/$name/main.go" .
    printf 'module peer\ngo 1.23\nrequire %s %s\n' "$1" "$2" >go.mod
    # -e: a test of a dependency may name a module that is not served.
    GOFLAGS=-mod=mod go mod tidy -e
    GOFLAGS=-mod=mod timeout "$limit" go build -trimpath -o "$made.new" .
}

build() {
    case $name in
    line-protocol) go_build github.com/influxdata/line-protocol/v2 v2.2.1 ;;
    telegraf) go_build github.com/influxdata/telegraf v1.37.2 ;;
    questdb-rs)
        cd "$sources/questdb"
        timeout "$limit" cargo build --release --locked \
            --target-dir "$dir/target"
        cp "$dir/target/release/encoder-questdb" "$made.new" ;;
    questdb-c)
        cd "$QUESTDB_C/questdb-rs-ffi"
        timeout "$limit" cargo build --release --locked \
            --target-dir "$dir/target"
        cc -std=gnu11 -O2 -I"$QUESTDB_C/include" -o "$made.new" \
            "$sources/questdb.c" "$dir/target/release/libquestdb_client.a" \
            -lpthread -ldl -lm ;;
    esac
    mv "$made.new" "$made"
}

case $name in
line-protocol | telegraf) need go ;;
questdb-rs) need cargo ;;
questdb-c)
    need cargo cc
    [ -d "${QUESTDB_C:-}" ] || die "QUESTDB_C=DIR, a checkout of" \
        "c-questdb-client, is missing" ;;
*) die "no encoder '$name'" ;;
esac
case $name in
line-protocol | telegraf) files="peer.go $name/main.go" ;;
questdb-rs) files='questdb/Cargo.lock questdb/src/main.rs' ;;
questdb-c) files=questdb.c ;;
esac
# Another program is built anew.
sum=$(cd "$sources" && cat $files | cksum | cut -d' ' -f1)
dir=$cache/$name
made=$dir/$name-$sum
if [ ! -e "$made" ]; then
    need timeout cksum
    mkdir -p "$dir" || die "cannot write to $dir"
    # No `||` here: a shell forgets -e to the left of it.
    set +e
    (set -e; build) >"$dir/log" 2>&1 </dev/null
    rv=$?
    set -e
    [ $rv -eq 0 ] || die "cannot build $name: $(grep -v '^[[:space:]]*$' \
        "$dir/log" | tail -n 1)"
fi
echo "$made"

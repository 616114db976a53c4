#!/bin/sh
#
# build-engines.sh [--found] NAME: what t/engines.t talks to beside Debian's InfluxDB and
# VictoriaMetrics:
#
#   victoria-metrics, vmagent   1.151.0   from the Go module proxy
#   telegraf                    1.37.2    from the Go module proxy, few plug-ins
#   influxd1                    1.13.2    from the Go module proxy and crates.io
#   questdb                     9.1.0     a jar of Maven Central
#   kafka                       4.1.0     jars of Maven Central
#
# Prints the program's path, of jars their directory; when there can be none, the
# reason in one line, and exits with 1.  What is built stays in ~/.cache; with
# --found nothing is built.
# victoria-metrics and telegraf take 2 to 4 minutes the first time, influxd1
# 20, the jars seconds.
#
set -eu

found=
if [ "${1:-}" = --found ]; then
    found=1
    shift
fi
name=${1:?usage: build-engines.sh [--found] NAME}
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/imx-engines
limit=${IMX_BUILD_LIMIT:-1500}
top=$(cd "$(dirname "$0")/.." && pwd)

. "$(dirname "$0")/build-common.sh"

# go_build MODULE VERSION PACKAGE PROGRAM FLAG...: a module that requires just
# this one.  Its own go.sum comes from the proxy's checksum database.
go_build() {
    module=$1 version=$2 package=$3 program=$4
    shift 4
    need go
    mkdir -p "$dir/module"
    cd "$dir/module"
    printf 'module tests\ngo 1.26\nrequire %s %s\n' "$module" "$version" >go.mod
    printf '//go:build tools\n\npackage tools\n\nimport _ "%s"\n' \
        "$module/$package" >tools.go
    # -e: a test of a dependency may name a module that is not served.
    GOFLAGS=-mod=mod go mod tidy -e
    GOFLAGS=-mod=mod timeout "$limit" go build -trimpath "$@" -o "$dir/$program.new" \
        "$module/$package"
    mv "$dir/$program.new" "$dir/$program"
}

jars() {
    need mvn java
    mkdir -p "$dir/jars.new"
    cat >"$dir/pom.xml" <<END
<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>tests</groupId><artifactId>tests</artifactId><version>1</version>
<dependencies><dependency><groupId>$1</groupId><artifactId>$2</artifactId>
<version>$3</version></dependency></dependencies>
</project>
END
    timeout "$limit" mvn -q -B -f "$dir/pom.xml" dependency:copy-dependencies \
        -DoutputDirectory="$dir/jars.new"
    mv "$dir/jars.new" "$dir/jars"
}

build() {
    V=github.com/VictoriaMetrics/VictoriaMetrics
    T=github.com/influxdata/telegraf
    case $name in
    victoria-metrics | vmagent)
        go_build $V v1.151.0 "app/$name" "$name" ;;
    telegraf)
        tags=custom,inputs.influxdb_v2_listener,inputs.kafka_consumer
        tags=$tags,outputs.file,outputs.kafka,serializers.influx,parsers.influx
        tags=$tags,outputs.influxdb,outputs.influxdb_v2
        tags=$tags,inputs.tail,parsers.grok
        go_build $T v1.37.2 cmd/telegraf telegraf -tags "$tags" \
            -ldflags "-X $T/internal.Version=1.37.2" ;;
    influxd1)
        need cargo gcc pkg-config
        # Its Flux is built as InfluxDB 2's is; the tools are the same ones.
        two=$(sh "$top/tools/build-influxd.sh") || die "$two"
        PATH=${two%/influxd}/tools:$PATH
        PKG_CONFIG=${two%/influxd}/tools/pkg-config
        RUSTC_WRAPPER=${two%/influxd}/tools/rustc-wrap
        # Flux names an old compiler, which rustup would fetch.
        ! command -v rustup >/dev/null || RUSTUP_TOOLCHAIN=$(cd / &&
            rustup show active-toolchain | cut -d" " -f1)
        export PATH PKG_CONFIG RUSTC_WRAPPER ${RUSTUP_TOOLCHAIN+RUSTUP_TOOLCHAIN}
        go_build github.com/influxdata/influxdb v1.13.2 cmd/influxd influxd1 \
            -ldflags '-s -w -X main.version=1.13.2' ;;
    questdb) jars org.questdb questdb 9.1.0 ;;
    kafka) jars org.apache.kafka kafka_2.13 4.1.0 ;;
    esac
}

case $name in
victoria-metrics | vmagent | influxd1) made=$cache/$name/$name ;;
# With other plug-ins it is another program.
telegraf) made=$cache/telegraf-3/telegraf ;;
questdb | kafka) made=$cache/$name/jars ;;
*) die "no engine '$name'" ;;
esac
dir=$(dirname "$made")
if [ ! -e "$made" ]; then
    [ -z "$found" ] ||
        die "$name is not there: make test-engines gets it"
    need timeout flock
    mkdir -p "$dir" || die "cannot write to $dir"
    exec 9>"$dir/lock"
    flock -w "$limit" 9 || die "another build of $name does not end"
fi
if [ ! -e "$made" ]; then
    # No `||` here: a shell forgets -e to the left of it.
    set +e
    (set -e; build) >"$dir/log" 2>&1 </dev/null
    rv=$?
    set -e
    [ $rv -eq 0 ] || die "cannot build $name: $(grep -v '^[[:space:]]*$' \
        "$dir/log" | tail -n 1)"
fi
echo "$made"

#!/bin/sh
#
# build-judges.sh rust|go|sql|grafana: builds a judge of t/judges, from crates.io,
# the Go module proxy, PyPI or npm, for t/judge.t and t/dashboards*.t.  Prints the
# program's path (of sql and grafana a folder: a venv, node_modules); when there
# can be none, the reason in one line, and exits with 1.  It takes half a minute
# the first time; the program stays in ~/.cache/imx-judges.
#
set -eu

name=${1:?usage: build-judges.sh rust|go|sql|grafana}
top=$(cd "$(dirname "$0")/.." && pwd)
source=$top/t/judges/$name
dir=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/imx-judges
limit=${IMX_BUILD_LIMIT:-300}

die() {
    echo "build-judges.sh: $*"
    exit 1
}

case $name in
rust) tool=cargo ;;
go) tool=go ;;
sql) tool=python3 ;;
grafana) tool=npm ;;
*) die "no judge '$name'" ;;
esac
for command in $tool timeout flock cksum; do
    command -v $command >/dev/null ||
        die "there is no '$command', which the judge $name is built with"
done
mkdir -p "$dir" || die "cannot write to $dir"

# Another source is another program.
sum=$(find "$source" -type f | sort | xargs cat | cksum | cut -d' ' -f1)
program=$dir/$name-$sum
exec 9>"$dir/$name.lock"
flock -w "$limit" 9 || die "another build of $name does not end"
if [ ! -e "$program" ]; then
    cd "$source"
    case $name in
    rust)
        timeout "$limit" cargo build --quiet --locked --release \
            --target-dir "$dir/target" >"$dir/$name.log" 2>&1 &&
            cp "$dir/target/release/judge" "$program.new" ;;
    go)
        timeout "$limit" go build -trimpath -o "$program.new" . \
            >"$dir/$name.log" 2>&1 ;;
    sql)
        rm -rf "$program.new" &&
            python3 -m venv "$program.new" >"$dir/$name.log" 2>&1 &&
            timeout "$limit" "$program.new/bin/python" -m pip install -q \
                --disable-pip-version-check --only-binary :all: \
                -r requirements.txt >>"$dir/$name.log" 2>&1 </dev/null ;;
    grafana)
        rm -rf "$program.new" && cp -R "$source" "$program.new" &&
            cd "$program.new" &&
            timeout "$limit" npm install --no-package-lock --no-audit --no-fund \
                --ignore-scripts --silent >"$dir/$name.log" 2>&1 </dev/null ;;
    esac || die "cannot build the judge $name: $(tail -n 1 "$dir/$name.log")"
    mv "$program.new" "$program"
fi
echo "$program"

#!/bin/sh
#
# build-judges.sh rust|go|python|sql|axe|grafana: builds a judge of t/judges, from
# crates.io, the Go module proxy, PyPI or npm, for t/judge.t, t/openmetrics.t,
# t/page-browser.t and t/dashboards*.t.  Prints the path of the program (of axe:
# the script; of grafana: the folder); when there can be none, the reason in one
# line, and exits with 1.  It takes half a minute the first time; the file stays
# in ~/.cache/imx-judges.
#
set -eu

name=${1:?usage: build-judges.sh rust|go|python|sql|axe|grafana}
top=$(cd "$(dirname "$0")/.." && pwd)
source=$top/t/judges/$name
dir=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/imx-judges
limit=${IMX_BUILD_LIMIT:-300}

. "$(dirname "$0")/build-common.sh"

case $name in
rust) tool=cargo ;;
go) tool=go ;;
python | sql) tool=python3 ;;
axe | grafana) tool=npm ;;
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
if [ ! -x "$program" ]; then
    cd "$source"
    case $name in
    rust)
        timeout "$limit" cargo build --quiet --locked --release \
            --target-dir "$dir/target" >"$dir/$name.log" 2>&1 &&
            cp "$dir/target/release/judge" "$program.new" ;;
    go)
        timeout "$limit" go build -trimpath -o "$program.new" . \
            >"$dir/$name.log" 2>&1 ;;
    python | sql)
        {
            python3 -m venv "$program-venv" &&
                timeout "$limit" "$program-venv/bin/pip" install -q \
                    -r requirements.txt && cp judge.py "$program-venv" &&
                printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' \
                    "$program-venv/bin/python" "$program-venv/judge.py" \
                    >"$program.new" && chmod +x "$program.new"
        } >"$dir/$name.log" 2>&1 ;;
    grafana)
        rm -rf "$program.new" && cp -R "$source" "$program.new" &&
            cd "$program.new" &&
            timeout "$limit" npm install --no-package-lock --no-audit \
                --no-fund --ignore-scripts --silent \
                >"$dir/$name.log" 2>&1 </dev/null ;;
    axe)
        # One file of the package, which must be the one that was looked at.
        read -r package hash <"$source/package"
        rm -rf "$dir/axe.new" && mkdir "$dir/axe.new" &&
            cd "$dir/axe.new" &&
            timeout "$limit" npm pack --silent "$package" >"$dir/axe.log" 2>&1 &&
            tar xzf ./*.tgz package/axe.min.js >>"$dir/axe.log" 2>&1 &&
            echo "$hash  package/axe.min.js" |
            sha256sum -c - >>"$dir/axe.log" 2>&1 &&
            mv package/axe.min.js "$program.new" && chmod 755 "$program.new" &&
            cd / && rm -rf "$dir/axe.new" ;;
    esac || die "cannot build the judge $name: $(tail -n 1 "$dir/$name.log")"
    mv "$program.new" "$program"
fi
echo "$program"

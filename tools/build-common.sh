# What the scripts tools/build-*.sh have in common; they read this file.
# Their standard output is a path, or a reason in one line.

die() {
    echo "${0##*/}: $*"
    exit 1
}

# $name: what is built.
need() {
    for command; do
        command -v "$command" >/dev/null ||
            die "there is no '$command', which $name needs"
    done
}

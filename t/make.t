# `make` only builds: it installs nothing, and names what is missing; what makes
# it under -j does not run twice at once; CPPFLAGS reach each compiler call.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";
delete @ENV{grep { /^(?:MAKE|MFLAGS|GNUMAKE)/ } keys %ENV};
my $dir = work_dir();

# Programs that must not be called; and a PATH with all that there is, but for
# what is left out.
for my $name (qw(sudo apt-get apt)) {
    spew("$dir/never/$name", "#!/bin/sh\necho $name \"\$@\" >>$dir/called\n",
        0755);
}
sub path_without {
    my @without = @_;
    my $bin = "$dir/bin" . scalar @without;
    mkdir $bin;
    for my $from (reverse split /:/, $ENV{PATH}) {
        for my $program (glob "$from/*") {
            my ($name) = $program =~ m{([^/]+)$};
            next if grep { $_ eq $name } @without;
            unlink "$bin/$name";
            symlink $program, "$bin/$name";
        }
    }
    return "$dir/never:$bin";
}

# A build of its own, of one file.
sub make {
    my ($path, @args) = @_;
    local $ENV{PATH} = $path;
    my $text = join ' ', map { "'$_'" } @args;
    $text = `make BUILD=$dir/build $text 2>&1`;
    return ($?, $text);
}

my ($status, $text) = make(path_without('none'), 'LTO=',
    "$dir/build/o/src/base/errand.o");
is($status, 0, 'with all that it needs it builds') or diag $text;

my @needs = qw(apxs apxs2 curl-config);
($status, $text) = make(path_without(@needs), 'all');
isnt($status, 0, 'without it does not');
like($text, qr/missing: apxs curl-config\b.*make deps/, 'but names what is missing');
unlike($text, qr/^cc .* -c /m, 'and begins nothing');
($status, $text) = make(path_without('none'), 'CC=no-such-cc', 'all');
like($text, qr/missing: no-such-cc/, 'names a compiler that is not there');
is(slurp("$dir/called"), '', 'and nothing is installed');

# The guard of t/cost.t skips where it is not there, and says nothing then.
{
    local $ENV{PATH} = path_without(@needs, 'valgrind');
    like(scalar `sh tools/install-deps.sh --check test 2>&1`,
        qr/missing:[^.]* valgrind\b/, 'make test gets valgrind');
}

# Nothing that installs is a prerequisite, where -j would run two at once.
my $makefile = slurp('Makefile');
my @rules = $makefile =~ /^([^\s#][^:=\n]*:(?!=)[^\n]*)$/mg;
cmp_ok(scalar @rules, '>=', 20, 'the rules of the Makefile');
is_deeply([grep { /deps/ && !/^deps:/ && !/^\.PHONY/ } @rules], [],
    'no rule has an installation as a prerequisite');
for my $target (qw(test demo)) {
    like($makefile, qr/^$target:[^\n]*\n\t\$\(DEPS\) build /m,
        "make $target still needs nothing before it");
}

my @compiles = grep { / -c / } split /\n/,
    `make -n BUILD=$dir/new CPPFLAGS=-DIMX_A_FLAG all units 2>/dev/null`;
cmp_ok(scalar @compiles, '>=', 30, 'make -n shows the compiler calls');
is_deeply([grep { !/ -DIMX_A_FLAG / } @compiles], [], 'each has CPPFLAGS');

finish();

#!/usr/bin/perl
# Delivery in a simulated world (t/sim): seeds that went wrong once, and some
# more.  IMX_SEEDS: how many more.
use strict;
use warnings;
use Test::More;

my $build = $ENV{IMX_BUILD} // 'build';
my $simulate = "$build/sim/simulate";
my $seeds = $ENV{IMX_SEEDS} // 200;

-x $simulate or BAIL_OUT("$simulate is missing: make units");

# Seeds in which something was wrong, in the code as it was then.  Their course
# changes with the code; the faults are in the log of this repository.
my @once_wrong = (246, 298, 333, 400, 1081, 4139, 5193, 10063, 10506, 22226,
    51324, 52756, 53547, 9570, 19095, 25330, 67732, 73033, 64354,
    70509, 78503);

sub wrong_ones { return grep { /^seed / } `$simulate $_[0] $_[1] 2>&1` }

# What happens is decided by the seed alone, not by those before it.
sub course { my ($n, @lines) = @_;
    return (grep { /^seed $n [0-9a-f]{16}$/ } @lines)[0] }
my @row = `$simulate -q 1 30`;
for my $n (3, 17, 30) {
    my $alone = course($n, `$simulate -q $n`);
    ok(defined $alone, "seed $n has a course");
    is(course($n, @row), $alone, "seed $n goes the same way behind others");
}

# Nothing that the module calls escapes to the real kernel.
my %ours = map { chomp; ("sim_$_" => 1) } do {
    open my $in, '<', 't/sim/calls.txt' or die "calls.txt: $!";
    <$in>;
};
my $pure = qr/^(?:mem\w+|str\w+|qsort|bsearch|v?snprintf|__isoc99_sscanf|
    explicit_bzero|timegm|gmtime_r|newlocale|uselocale|pthread_once|abort|
    __assert_fail|
    __errno_location|__ctype_b_loc|
    imx_influx_\w+|imx_fault|_GLOBAL_OFFSET_TABLE_|__asan_\w+|__ubsan_\w+)$/x;
my @calls = `nm -u $build/sim/product-under-test.o` =~ /^\s+[Uwv] (\S+)/mg;
ok(@calls > 20, 'nm sees what the module calls');
is_deeply([grep { !$ours{$_} && !/$pure/ } @calls], [],
    'all of it is simulated, or touches nothing but memory');

is_deeply([map { wrong_ones($_, 1) } @once_wrong], [],
    scalar(@once_wrong) . ' seeds that went wrong once');
my @wrong = wrong_ones(1, $seeds);
is_deeply(\@wrong, [], "$seeds seeds: each line is stored, or counted");
diag("see what happens: make simulate SEED=N V=1") if @wrong;

done_testing();

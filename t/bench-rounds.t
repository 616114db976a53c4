# The arithmetic of the benchmarks (bench/ImxRounds.pm): quartiles, ratios of
# pairs, and that nothing is said of what the control reaches by itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench";
use Test::More;
use ImxRounds;

is_deeply([ImxRounds::quartiles(5, 1, 4, 2, 3)], [2, 3, 4],
    'quartiles of values in any order');
is_deeply([ImxRounds::quartiles(1, 2, 3, 4)], [1.75, 2.5, 3.25],
    'between two values, in proportion');
is_deeply([ImxRounds::quartiles(7)], [7, 7, 7], 'of one');
ok(!eval { ImxRounds::quartiles(); 1 }, 'of none there are none');

# Of the table in H. A. David, Order Statistics, and others: which of n sorted
# values the interval of the median begins with, at 95 % at least.
for my $of ([6, 1], [8, 1], [9, 2], [10, 2], [15, 4], [20, 6], [50, 18], [100, 40],
        [1000, 469]) {
    my ($n, $first) = @$of;
    is_deeply([ImxRounds::interval(reverse 1 .. $n)], [$first, $n + 1 - $first],
        "$n values: how sure the median is");
}
is_deeply([ImxRounds::interval(1 .. 5)], [], 'of five there is no telling');
is_deeply([ImxRounds::interval(map { $_ == 20 ? 1e9 : $_ } 1 .. 20)], [6, 15],
    'one that is far away is one');
is(ImxRounds::confident({ median => 1.019, interval => [0.99, 1.15] }),
    '+1.9 % (-1.0 .. +15)', 'a median and how sure it is, in words');
is(ImxRounds::confident({ median => 1.019, interval => [] }),
    '+1.9 % (too few to tell more)', '... of too few');

# It has the true median in 95 of 100 cases, of a distribution that leans.
srand 7;
my $has = grep {
    my ($low, $high) = ImxRounds::interval(map { rand() ** 3 } 1 .. 40);
    $low <= 0.125 && $high >= 0.125
} 1 .. 2000;
cmp_ok($has / 2000, '>', 0.94, 'the true median is in the interval');
cmp_ok($has / 2000, '<', 0.985, '... which is not wider than that');

sub ratio {
    my %r;
    @r{qw(q1 median q3)} = @_;
    return \%r;
}

is(ImxRounds::words(ratio(1.012, 1.019, 1.026)), '+1.9 % (+1.2 .. +2.6)',
    'more, in words');
is(ImxRounds::words(ratio(0.15, 0.152, 0.2)), '-85 % (-85 .. -80)',
    'less, in words');

my $narrow = ratio(0.998, 1.001, 1.004);
my $wide = ratio(0.98, 1.0, 1.02);
my $biased = ratio(1.02, 1.021, 1.022);
cmp_ok(abs(ImxRounds::spread($narrow) - 0.006), '<', 1e-9,
    'how far the quartiles are from each other');
cmp_ok(abs(ImxRounds::spread($biased) - 0.022), '<', 1e-9,
    '... or from equality');
my $effect = ratio(1.012, 1.019, 1.026);
is(ImxRounds::cell($effect, $narrow), '+1.9 % (+1.2 .. +2.6)',
    'an effect beyond the control is told');
is(ImxRounds::cell($effect, $wide), 'not distinguishable',
    'one within a wide control is not');
is(ImxRounds::cell($effect, $biased), 'not distinguishable',
    'nor within one that is wrong to one side');
is(ImxRounds::cell(ratio(0.95, 0.96, 0.97), $wide), 'not distinguishable',
    'as wide as the effect is too wide');
is(ImxRounds::cell(ratio(0.99, 1.019, 1.026), $narrow), 'not distinguishable',
    'one that is less in some pairs and more in others is none');

is(ImxRounds::difference([-3, 20, 7], 21, 25, 22), '+22',
    'a difference beyond those of two equal ones is told');
is(ImxRounds::difference([-25, 20, 7], 21, 25, 22), 'not distinguishable',
    'one that equal ones have, too, is not');
is(ImxRounds::difference([1, 0, -2], -90, -89, -91), '-90', 'less, too');

is(ImxRounds::added(undef, 3, -1, 0), '+0 | -1 .. 3',
    'the cells of a control: its median, and the range');
is(ImxRounds::added([-3, 20, 7], 21, 25, 22), '+22 | 21 .. 25',
    'those of a difference');
is(ImxRounds::added([-25, 20, 7], 21, 25, 22),
    'not distinguishable | 21 .. 25', '... of one that equal ones have, too');
is(ImxRounds::ranged('%.1f', 17.2, 17.4, 17.1), '17.2 (17.1 .. 17.4)',
    'a median and the range around it');

# A machine that gets slower all the time: pairs do not see it.
my ($time, @order) = (0);
my $rounds = ImxRounds->new(rounds => 8, say => 0, measure => sub {
    my ($s) = @_;
    push @order, $s->{name};
    my $slower = 1 + 0.0001 * $time++;
    return { rps => $s->{rps} / $slower, none => undef };
});
my ($base, $control, $half, $equal) = map { { name => $_->[0], rps => $_->[1] } }
    ['base', 1000], ['control', 1000], ['half', 500], ['equal', 1000];
my $group = $rounds->group($base, $control, $half, $equal);
$rounds->run;
is_deeply([@order[0 .. 9]], [qw(control base half equal base half base control
    base equal)], 'each beside the base, on one side and on the other');
my $table = $group->table('file', [rps => 'requests a second', '%.0f'],
    [none => 'nothing', '%d']);
like($table, qr/^\| half \| \d+ \| -50 % \(-50 \.\. -50\) \| - \| - \|$/m,
    'the ratio of pairs');
like($table, qr/^\| equal \| \d+ \| not distinguishable \|/m, 'an equal one');
like($table, qr/^\| control \| \d+ \| [-+]0\.0 % \(/m,
    'the control has its figures in the table');
like($table, qr/^\| base \| \d+ \|  \| - \|  \|$/m, 'the base has none');
is(scalar(my @all = $group->all($base, 'rps')), 16,
    'all values of the base: one for each two that share it');
is($group->compare($half, 'none'), undef, 'nothing was measured');
is(ImxRounds::sentence($group->compare($half, 'rps'), 'throughput'),
    '-50 % throughput', 'in a sentence');
like(ImxRounds::sentence($group->compare($equal, 'rps'), 'throughput'),
    qr/^throughput not distinguishable \(equal servers differ by /,
    'what a sentence says of an equal one');

done_testing();

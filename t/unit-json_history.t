#!/usr/bin/perl
# The history as JSON, by t/unit/json_history.c: how large it is when the rings
# are full, that it says what happened, and that it is JSON whatever stands in
# the shared memory.  IMX_TIMES=N: so many answers of nonsense.
use strict;
use warnings;
use JSON::PP ();
use List::Util qw(max min sum0);
use Test::More;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/json_history';
my $json = JSON::PP->new->utf8;

# ---- full rings ----

my $text = `$program full 10 2>&1 >$program.out; cat $program.out; rm $program.out`;
my ($bytes, $us) = $text =~ s/^(\d+) bytes, (\d+) us\n// ? ($1, $2) : ();
ok(defined $bytes, 'ten busy hosts, 24 hours') or BAIL_OUT($text);
diag "?json&history: $bytes bytes, $us us";
cmp_ok($bytes, '<', 260_000, "$bytes bytes");
my $h = $json->decode($text);
my ($near, $day) = @$h{qw(minutes10 hours24)};
is($h->{sequence}, 1700000040 + 25 * 3600, 'the last second');
is($h->{time}, $h->{sequence}, '... and its time');
is(scalar @{ $near->{time} }, 300, 'ten minutes, 2 s each');
is(scalar @{ $day->{time} }, 1440, '24 hours, a minute each');
is(scalar @{ $day->{coarse}{time} }, 96, '... a quarter of an hour each');
for (['ten minutes', $near, $near, 2], ['24 hours', $day, $day->{coarse}, 900]) {
    my ($name, $c, $fine, $step) = @$_;
    is_deeply([grep { $c->{time}[$_] - $c->{time}[$_ - 1] != $c->{step} }
        1 .. $#{ $c->{time} }], [], "$name: times go by steps");
    is_deeply([grep { $_ != 50 * $c->{step} } @{ $c->{requests} }], [],
        "$name: all requests");
    my @heat = map { sum0(@$_) } @{ $fine->{heat}{count} };
    is_deeply([grep { $_ != 50 * $step } @heat[1 .. $#heat - 1]], [],
        "$name: in the heatmap, too");
    is(scalar keys %{ $fine->{hosts} }, 10, "$name: ten hosts");
    my $host = $fine->{hosts}{'host-7.example.org'};
    is_deeply([grep { $_ != 5 * $step } @{ $host->{requests} }[1 .. 90]], [],
        "$name: requests of a host");
    is_deeply([grep { $host->{p50}[$_] > $host->{p95}[$_]
        || $host->{p95}[$_] > $host->{p99}[$_] } 0 .. $#{ $host->{p50} }], [],
        "$name: its percentiles are in order");
    is_deeply([grep { $c->{p99}[$_] > $c->{max}[$_] * 1.1 }
        0 .. $#{ $c->{p99} }], [], "$name: none beyond the longest");
    cmp_ok(sum0(@{ $c->{errors} }), '>', 0, "$name: errors");
}
is(scalar @{ $h->{events} }, 64, 'the last events');

# ---- what is of this moment ----

my $now = $json->decode(scalar `$program now`);
my ($one, $two) = @{ $now->{hosts} };
is_deeply($one->{objective}, { time => 0.5, percent => 99.9,
    minutes5 => { seconds => 300, good => 0, total => 0, burn => undef },
    hour => { seconds => 3570, good => 8, total => 9, burn => 111.1 } },
    'the objective of a host');
ok(!exists $two->{objective}, '... where it has one');
is_deeply($now->{total}{objective}, { time => undef, percent => undef,
    minutes5 => { seconds => 300, good => 0, total => 0, burn => undef },
    hour => { seconds => 3570, good => 40, total => 50, burn => 4 } },
    '... and of all, which have not one in common');
is_deeply($now->{exemplars}, [map { { upper => $_->[0], seconds => $_->[1],
    time => 1700000041.5, trace_id => '0af7651916cd43dd8448eb211c80319c' } }
    [0.3536, 0.3], [undef, 200]], 'trace ids by bucket');

# ---- behind a time in which no child delivered ----

my @answers = map { $json->decode($_) } split /(?<=\}\n)/, scalar `$program gap`;
is(scalar @answers, 4, 'a minute without a holder');
for my $when ('before', 'at once behind', 'some seconds behind', 'later') {
    my $answer = shift @answers;
    is($answer->{total}{requests}, 20, "$when: requests a second of all");
    is_deeply([map { $_->{requests} } @{ $answer->{hosts} }], [10, 10],
        '... and of each host');
}

# ---- nonsense in the shared memory ----

my $times = $ENV{IMX_TIMES} || 60;
my ($n, @bad, $points) = (0);
open my $answers, '-|', $program, 'hostile', $times, $$ or die "$program: $!";
while (my $line = do { local $/ = "}\n"; <$answers> }) {
    $n++;
    my $is = eval { $json->decode($line) };
    if (!$is) {
        push @bad, substr($@, 0, 200);
        next;
    }
    push @bad, 'exemplars' if grep { !/\A[0-9a-f]{32}\z/ }
        map { $_->{trace_id} } @{ $is->{exemplars} };
    for my $c (grep { $_ } @$is{qw(minutes10 hours24 seconds)}) {
        my @time = @{ $c->{time} };
        push @bad, 'too many' if @time > 1440;
        push @bad, 'times' if grep { $time[$_] <= $time[$_ - 1] } 1 .. $#time;
        push @bad, 'columns' if grep { ref $c->{$_} eq 'ARRAY'
            && @{ $c->{$_} } != @time } keys %$c;
        $points += @time;
    }
}
close $answers;
is($?, 0, 'nonsense crashes nothing');
is($n, $times, "$times answers");
is_deeply(\@bad, [], 'each is JSON of the form it is to have');
cmp_ok($points, '>', 1000, "with $points points");
done_testing();

# The arithmetic of bench-beat (bench/ImxBeat.pm): what comes each second of each
# run is a beat, what comes in one of them is the machine's.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench";
use Test::More;
use ImxTest;
use ImxBeat;

# Three turns of three seconds, 100 requests of 100 us in each slot, but what
# slow->(second, slot, number) says; the first line is there twice.
sub points {
    my ($slow) = @_;
    my $file = work_dir() . '/points';
    open my $out, '>', $file or die "$file: $!\n";
    for my $second (10 .. 12, 20 .. 22, 30 .. 32) {
        for my $n (0 .. 100 * $ImxBeat::SLOTS - 1) {
            my $slot = int $n / 100;
            my $line = sprintf "raw-requests,status=200 request_time=%g,bytes_sent"
                . "=1i %d%09d\n", $slow->($second, $slot, $n % 100) ? 0.0009 : 0.0001,
                $second, $n * 1e9 / (100 * $ImxBeat::SLOTS);
            print $out $line x ($second == 10 && $n == 0 ? 2 : 1);
        }
    }
    close $out or die "$file: $!\n";
    return ImxBeat::read_points($file, 3, [10, 20, 30]);
}

# Of the first of some runs, and of all of them.
sub rounded {
    my @runs = map { { it => ImxBeat::judge($_->{turns}) } } @_;
    return [map { sprintf '%.2f', $_ } $runs[0]{it}{ratio},
        (ImxBeat::together(\@runs, 'it'))[0]];
}

my $points = points(sub { return 0 });
is($points->{count}, 9 * 100 * $ImxBeat::SLOTS, 'each point once');
is_deeply([map { scalar @{ $_->{all} } } @{ $points->{turns} }],
    [(3 * 100 * $ImxBeat::SLOTS) x 3], 'three turns');
is_deeply([map { ImxBeat::turn_of($_, 1.5, [10.5, 12, 14]) } 10.4, 10.5, 12.1,
    13.6, 15.4, 99], [-1, 0, 1, -1, 2, -1], 'what is before a turn is of none');
is_deeply(rounded($points), ['1.00', '1.00'], 'all alike: no slot is slower');
is_deeply(rounded(map { points(sub { $_[1] == 7 }) } 1 .. 3), ['9.00', '9.00'],
    'a slot that is slow each second of each run is a beat');
is_deeply(rounded(map { my $run = $_; points(sub { $run == 1 && $_[1] == 7
    && $_[0] == 21 && $_[2] < 30 }) } 1 .. 4), ['9.00', '1.00'],
    'one that was slow once is not');

# By chance: a slot that is slow each second stands out of it, one that was slow
# once does not.
srand 3;
sub by_chance {
    my @runs = map { { it => ImxBeat::judge($_->{turns}) } } @_;
    return ImxBeat::chance(\@runs, 'it', 50);
}
my $beat = by_chance(map { points(sub { $_[1] == 7 && $_[2] < 3 }) } 1 .. 3);
is(sprintf('%.2f', $beat->{together}{most}), '1.00',
    'turned round, a beat is gone');
is(ImxBeat::how_often(9, $beat->{together}), 1 / 51, '... in each case');
is(ImxBeat::how_often(1, $beat->{together}), 1, '... and never less is there');
my $once = by_chance(points(sub { $_[1] == 7 && $_[0] == 21 }));
is(sprintf('%.2f', $once->{runs}{median}), '9.00',
    '... but what came once is there as before');

# The p99 that the largest values tell is that of all of them.
my @random = map {
    [map { [map { int 100 + 900 * rand() ** 8 } 1 .. 40] } 1 .. $ImxBeat::SLOTS]
} 1 .. 30;
is(ImxBeat::worst_of_largest(ImxBeat::largest(@random)),
    ImxBeat::worst_of_median(ImxBeat::slots(@random)),
    'the largest values are enough');

# The module's threads: what of a request's time they had.
my @ran = ([1, 2], [4, 5], [7, 9]);
is_deeply([map { ImxBeat::overlap(\@ran, @$_) } [0, 1], [0, 10], [1.5, 4.5], [2, 4],
    [8, 8.5], [9, 12]], [0, 4, 1, 0, 0.5, 0], 'how much of a time others ran');
is_deeply([ImxBeat::rested(map { [@$_, 1] } [1, 2], [1.5, 1.8], [2.00005, 3], [4, 5],
    [4.5, 6], [5.5, 6])], [1, 1, 1, 4, 4, 4],
    'the core rests where no request is for a while');
is_deeply([ImxBeat::rested([1, 2, 0], [2.0001, 2.5, 1], [4, 5, 1], [5.0001, 6, 0],
    [6.0001, 7, 1])], [1, 4, 4], '... and none of the threads runs');
sub less { return map { sprintf '%.0f', $_ } ImxBeat::less(@_) }
is_deeply([less([[1, 1.0001], [3, 3.5]], [0.9999, 1.0002], [1.0002, 1.0006], [2, 2.5],
    [3.2, 3.4])], [200, 300, 500000, 0],
    'their time since the core last rested is taken out');
is_deeply([less([[0.9999, 1.0001]], [1.0001, 1.0005])], [200],
    '... also what ended right before the request');
my $file = work_dir() . '/traced';
open my $out, '>', $file or die "$file: $!\n";
printf $out "raw-requests,status=200 request_time=%g %d%09d\n", @$_
    for [0.0004, 10, 5e8], [0.0001, 10, 6e8], [0.0001, 99, 0];
close $out or die "$file: $!\n";
my $traced = ImxBeat::read_points($file, 3, [10],
    [[10.49975, 10.49985], [99, 99.5]]);
is_deeply([map { sprintf '%.0f', $_ } @{ $traced->{less}[0]{all} }], [300, 100],
    '... of the points of the turns');
is_deeply([map { sprintf '%.0f', $_->[0] } @{ $traced->{less}[0]{seconds}{10} }[25, 30]],
    [300, 100], '... by the slot');
is($traced->{count}, 3, '... which are not all');

# p99.9 of the turns: twice that without delivery in each, which is alike in all.
sub judged { return { turns => [map { $_ * 100 } @_] } }
my $runs = [{ with => judged(2, 4, 6), without => judged(1, 2, 3) },
    { with => judged(2, 2, 2), without => judged(1, 1, 1) }];
my $p999 = ImxBeat::compare($runs, 'with', 'without');
is_deeply([$p999->{median}, @{ $p999->{interval} }, $p999->{n}], [2, 2, 2, 6],
    'p99.9 is compared with the turn beside it');

# The control: each turn once, and both ways as often.
sub control { return map { sprintf '%.2f', $_ } ImxBeat::ratios_to_itself(@_) }
is_deeply([control([100, 200, 300, 600])], ['2.00', '0.50'],
    'the control: a turn against the next one, and the next against it');
is_deeply([control([100, 200, 5], [100, 200, 5], [100, 200, 5])],
    ['2.00', '2.00', '0.50'], '... over the ends of runs, the odd one left out');
sub middle { return sprintf '%.2f', ImxBeat::median(control(@_)) }
cmp_ok(abs(middle(map { [map { 100 * 1.2 ** $_ } 0 .. 9] } 1 .. 4) - 1), '<', 0.03,
    '... so a machine that gets slower is none');
srand 11;
my @noisy = map { [map { exp(2 * rand() + ($_ % 2 ? 0.5 : 0)) } 0 .. 9] } 1 .. 400;
cmp_ok(abs(middle(@noisy) - 1), '<', 0.05, '... nor a second turn that is slower');
is_deeply(ImxBeat::judge($points->{turns})->{turns}, [100, 100, 100],
    'a p99.9 for each turn');

# Goals: where chance makes as much nobody can tell.
is(ImxBeat::is_below(1.5, 1.4, { most => 1.8 }), 'reached',
    'a slot that is not slower');
is(ImxBeat::is_below(1.5, 1.6, { most => 1.3 }), 'not reached',
    '... one that is');
is(ImxBeat::is_below(1.5, 1.6, { most => 1.8 }), 'cannot be told',
    '... and one that may be so by chance');
is(ImxBeat::is_below(1.5, 2.1, { most => 2.0 }), 'not reached',
    '... but not one that is more than that');
sub against {
    my ($low, $high, $control_low, $control_high) = @_;
    return { interval => [$low, $high],
        control => { interval => [$control_low, $control_high] } };
}
is(ImxBeat::is_no_more(1.05, against(0.97, 1.04, 0.9, 1.1)), 'reached', 'p99.9');
is(ImxBeat::is_no_more(1.05, against(0.97, 1.06, 0.9, 1.1)), 'cannot be told',
    '... that may be higher');
is(ImxBeat::is_no_more(1.05, against(1.06, 1.3, 0.9, 1.1)), 'not reached',
    '... that is higher');
is(ImxBeat::is_no_more(1.05, against(0.97, 1.04, 1.01, 1.1)), 'cannot be told',
    '... and a control that is not the same as itself');
is(ImxBeat::is_no_more(1.05, against(0.97, 1.04, 0.9, 0.99)), 'cannot be told',
    '... to the other side, too');
is(ImxBeat::is_no_more(1.05, { interval => [], control => { interval => [] } }),
    'cannot be told', '... of too few turns');

# The median is told only where it is more than what the control may be.
my %told = (
    'not distinguishable (-3.0 .. +4.0)' => [1.01, 0.97, 1.04, 0.99, 1.01],
    'not distinguishable (+2.0 .. +9.0)' => [1.05, 1.02, 1.09, 0.9, 1.1],
    'not distinguishable (+6.0 .. +30)' => [1.2, 1.06, 1.3, 1.01, 1.1],
    '+20 % (+6.0 .. +30)' => [1.2, 1.06, 1.3, 0.95, 1.1],
);
for my $words (sort keys %told) {
    my ($median, @ranges) = @{ $told{$words} };
    is(ImxBeat::told({ median => $median, n => 50, %{ against(@ranges) } }), $words,
        $words);
}

done_testing;

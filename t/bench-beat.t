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
    return ImxBeat::read_points($file, 10);
}

# Of the first of some runs, and of all of them.
sub rounded {
    my @runs = map { { it => ImxBeat::judge($_) } } @_;
    return [map { sprintf '%.2f', $_ } $runs[0]{it}{ratio},
        ImxBeat::together(\@runs, 'it')];
}

my $points = points(sub { return 0 });
is($points->{count}, 9 * 100 * $ImxBeat::SLOTS, 'each point once');
is(scalar(() = ImxBeat::turns($points->{seconds})), 3, 'three turns');
is_deeply(rounded($points), ['1.00', '1.00'], 'all alike: no slot is slower');
is_deeply(rounded(map { points(sub { $_[1] == 7 }) } 1 .. 3), ['9.00', '9.00'],
    'a slot that is slow each second of each run is a beat');
is_deeply(rounded(map { my $run = $_; points(sub { $run == 1 && $_[1] == 7
    && $_[0] == 21 && $_[2] < 30 }) } 1 .. 4), ['9.00', '1.00'],
    'one that was slow once is not');

# p99.9 of the turns: twice that without delivery in each, which is alike in all.
sub judged { return { turns => [map { $_ * 100 } @_] } }
my $runs = [{ with => judged(2, 4, 6), without => judged(1, 2, 3) },
    { with => judged(2, 2, 2), without => judged(1, 1, 1) }];
my $p999 = ImxBeat::compare($runs, 'with', 'without');
is_deeply([map { sprintf '%.2f', $_ } @$p999{qw(q1 median q3)}],
    ['2.00', '2.00', '2.00'], 'p99.9 is compared with the turn beside it');
is_deeply([map { sprintf '%.3f', $_ }
    ImxBeat::ratios_to_itself([100, 200, 300, 400])],
    ['0.500', '1.500', '0.750'], 'and the control with itself, in both orders');
is_deeply(ImxBeat::judge($points)->{turns}, [100, 100, 100],
    'a p99.9 for each turn');

# Goals: with a control that is wider nobody can tell.
is(ImxBeat::is_below(1.5, [1.2, 1.4, 2.6], [1.2, 1.8]), 'reached',
    'a slot that is not slower');
is(ImxBeat::is_below(1.5, [1.2, 1.6, 2.6], [1.2, 1.3]), 'not reached',
    '... one that is');
is(ImxBeat::is_below(1.5, [1.2, 1.6, 2.6], [1.2, 1.8]), 'cannot be told',
    '... and one that is so without delivery as well');
sub against {
    my ($median, $control) = @_;
    return { q1 => $median - 0.01, median => $median, q3 => $median + 0.01,
        control => { q1 => 1 - $control, median => 1, q3 => 1 + $control } };
}
is(ImxBeat::is_no_more(1.05, against(1.02, 0.02)), 'reached', 'p99.9');
is(ImxBeat::is_no_more(1.05, against(1.08, 0.02)), 'not reached', '... higher');
is(ImxBeat::is_no_more(1.05, against(1.08, 0.2)), 'cannot be told',
    '... higher, and the control is wide');
is(ImxBeat::is_no_more(1.05, against(1.02, 0.2)), 'cannot be told',
    '... not higher, but the control is wide');
is(ImxBeat::is_no_more(1.05, against(0.5, 0.2)), 'reached', '... much lower');

done_testing;

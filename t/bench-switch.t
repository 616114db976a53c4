# When a thread had a processor (bench/ImxSwitch.pm), of the tracer's lines and of
# a process that does nothing else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench";
use Test::More;
use ImxSwitch;
use ImxTest;

sub line {
    my ($time, $from, $to) = @_;
    return sprintf "  a b-%d [000] d..2. %.6f: sched_switch: prev_comm=a b "
        . "prev_pid=%d prev_prio=120 prev_state=S ==> next_comm=x next_pid=%d "
        . "next_prio=120\n", $from, $time, $from, $to;
}
my @lines = ("# tracer: nop\n", line(1, 7, 0), line(2, 0, 7), line(3, 7, 8),
    line(5, 8, 0), line(6, 0, 7));
is_deeply([ImxSwitch::runs({ 7 => 1, 8 => 1 }, 100, @lines)],
    [[102, 103], [103, 105]], 'from a switch to a thread to the one away from it');
is_deeply([ImxSwitch::runs({ 8 => 1 }, 0, @lines)], [[3, 5]],
    '... of those that are asked for');

# A thread of SCHED_BATCH that is busy until it is told to end.
pipe my $ready, my $write or die "pipe: $!\n";
my $pid = fork // die "fork: $!\n";
if (!$pid) {
    close $ready;
    exec 'chrt', '-b', '0', $^X, '-e', 'syswrite STDOUT, "x"; 1 while times < 0.3;'
        . 'syswrite STDOUT, "y"; sleep 60' if open STDOUT, '>&', $write;
    exit 1;
}
close $write;
sysread $ready, my $told, 1;
is_deeply([ImxSwitch::monitors($pid)], [$pid], 'a thread of SCHED_BATCH is found');
is_deeply([ImxSwitch::monitors($$)], [], '... and no other one');
SKIP: {
    my $trace = ImxSwitch->start($pid);
    skip "the kernel's tracer is not to be had (root and tracefs)", 5 if !$trace;
    my $from = time;
    ok(-d $trace->{dir}, 'the tracer has an instance');
    sysread $ready, $told, 1;
    my @runs = $trace->stop;
    cmp_ok(scalar @runs, '>', 0, 'the tracer tells when it ran');
    my $sum = 0;
    $sum += $_->[1] - $_->[0] for @runs;
    cmp_ok($sum, '>', 0.02, '... for how long');
    ok($runs[0][0] >= $from - 1 && $runs[-1][1] <= time + 1, '... and at what time');
    my $dir = $trace->{dir};
    undef $trace;
    ok(!-e $dir, '... and nothing of it is left');
}
kill KILL => $pid;
waitpid $pid, 0;

done_testing;

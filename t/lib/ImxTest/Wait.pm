package ImxTest::Wait;
#
# Waiting: for a condition, with a limit, which is longer under a sanitizer, on
# a slow machine and on a busy one.
#
use strict;
use warnings;
use Exporter qw(import);
use Time::HiRes qw(time clock_gettime CLOCK_PROCESS_CPUTIME_ID);
use ImxTest::Files qw(slurp);

our @EXPORT = qw(slow wait_until nap);

# How much longer everything may take than on the machine, with nothing else to
# do, that the bounds in the tests are for.
sub slow {
    my $slow = ($ENV{IMX_PRELOAD} ? 4 : 1) * _speed() * _share();
    return $slow < 8 ? $slow : 8;
}

# A processor that takes longer for the same: its time is counted, so that what
# else it does is not.
my $speed;

sub _speed {
    return $speed if defined $speed;
    my $begin = clock_gettime(CLOCK_PROCESS_CPUTIME_ID);
    my $sum = 0;
    $sum += $_ % 7 for 1 .. 200_000;
    my $took = clock_gettime(CLOCK_PROCESS_CPUTIME_ID) - $begin;
    return $speed = $took > 0.006 ? $took / 0.006 : 1;
}

# How many want a processor for each there is: now, or in the last minute.
sub _share {
    my $stat = slurp('/proc/stat');
    my $processors = () = $stat =~ /^cpu\d/mg;
    my ($now) = $stat =~ /^procs_running (\d+)/m;
    my ($minute) = slurp('/proc/loadavg') =~ /^([\d.]+)/;
    my ($most) = sort { $b <=> $a } $now // 0, $minute // 0;
    my $share = $most / ($processors || 1);
    return $share > 1 ? $share : 1;
}

# Polls until the condition is true; its value, or false after the limit.
sub wait_until {
    my ($seconds, $condition) = @_;
    my $begin = time;
    while (1) {
        my $value = $condition->();
        return $value if $value;
        return $value if time > $begin + $seconds * slow();
        select undef, undef, undef, 0.05;
    }
}

# Sleeps, and returns for how long it really did.
sub nap {
    my ($seconds) = @_;
    my $begin = time;
    select undef, undef, undef, $seconds;
    return time - $begin;
}

1;

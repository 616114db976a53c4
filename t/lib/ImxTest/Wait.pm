package ImxTest::Wait;
#
# Waiting: for a condition, with a limit, which is longer under a sanitizer.
#
use strict;
use warnings;
use Exporter qw(import);
use Time::HiRes qw(time);

our @EXPORT = qw(slow wait_until nap);

# How much longer everything may take under a sanitizer.
sub slow { $ENV{IMX_PRELOAD} ? 4 : 1 }

# Polls until the condition is true; its value, or false after the limit.
sub wait_until {
    my ($seconds, $condition) = @_;
    my $end = time + $seconds * slow();
    while (1) {
        my $value = $condition->();
        return $value if $value;
        return $value if time > $end;
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

#!/usr/bin/perl
# idle.pl [--seconds N]: what 256 prefork children that do nothing take of a
# processor, all of them and the parent together, by the scheduler's account:
# without the module, and with it and all measurements of intervals as they are
# by default.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use Time::HiRes qw(time);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;

my ($CHILDREN, $seconds) = (256, 60);
GetOptions('seconds=i' => \$seconds) or die "usage: $0 [--seconds N]\n";
my $db = influxd();

# Seconds of processor time, of all threads.
sub processor {
    my ($h) = @_;
    my $ns = 0;
    for my $thread (map { glob "/proc/$_/task/*" } $h->pid, $h->children) {
        $ns += (split ' ', slurp("$thread/schedstat"))[0] // 0;
    }
    return $ns / 1e9;
}

sub cost {
    my ($module) = @_;
    my $h = httpd(mpm => 'prefork', module => $module, children => $CHILDREN,
        # One that is mentioned leaves the others as they are by default.
        $module ? (influx => $db, report => 'requests=10s') : ());
    wait_until(120, sub { (my @c = $h->children) >= $CHILDREN })
        or die "children are missing\n";
    nap(20);                    # what a child does at its start is over
    my ($before, $begin) = (processor($h), time);
    nap($seconds);
    my $percent = 100 * (processor($h) - $before) / (time - $begin);
    $h->stop;
    return $percent;
}

printf "| %d idle prefork children, all together | of a core |\n|---|---|\n"
    . "| httpd alone | %.2f %% |\n"
    . "| with the module, as it is by default | %.2f %% |\n",
    $CHILDREN, map { cost($_) } 0, 1;

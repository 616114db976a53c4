#!/usr/bin/perl
# idle.pl [--seconds N]: what 256 prefork children that do nothing take of a
# processor, all of them and the parent together, by the scheduler's account:
# without the module, without once more as a control, and with it and all
# measurements of intervals as they are by default.  The three are there at the
# same time, and each round is a window of some seconds of all of them.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use Time::HiRes qw(time);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxBare;
use ImxRounds;
use ImxVisit;

my ($CHILDREN, $rounds, $seconds) = (256, $ENV{BENCH_ROUNDS} // 20, 3);
GetOptions('seconds=i' => \$seconds) or die "usage: $0 [--seconds N]\n";
my $db = influxd();

sub server {
    my ($module) = @_;
    my $h = ImxBare->new(mpm => 'prefork', module => $module,
        children => $CHILDREN,
        # One that is mentioned leaves the others as they are by default.
        $module ? (influx => $db, report => 'requests=10s') : ());
    $h->wait_children(120);
    return $h;
}

my @rows = map { { name => $_->[0], server => server($_->[1]) } }
    ['httpd alone', 0], ['httpd alone, once more: the control', 0],
    ['with the module, as it is by default', 1];
nap(20);                    # what a child does at its start is over
$_->{pids} = ImxVisit::httpd_pids($_->{server}) for @rows;
ImxVisit::pin_as_usual([$$, $db->pid], \@rows);
for my $round (0 .. $rounds) {
    for my $row (@rows) {
        my ($cpu, $now) = (ImxVisit::cpu_ns($row->{pids}->()), time);
        push @{ $row->{percent} }, ($cpu - $row->{cpu}) / 1e7
            / ($now - $row->{then}) if $round;
        @$row{qw(cpu then)} = ($cpu, $now);
    }
    nap($seconds) if $round < $rounds;
}
print "| $CHILDREN idle prefork children, all together | of a core, % |\n"
    . "|---|---|\n";
for my $row (@rows) {
    my ($q1, $median, $q3) = ImxRounds::quartiles(@{ $row->{percent} });
    printf "| %s | %.2f (%.2f .. %.2f) |\n", $row->{name}, $median, $q1, $q3;
}
print "\nMedian (quartiles) of $rounds windows of $seconds s, of all three at "
    . "the same time;\n" . ImxVisit::cores_in_words() . ".\n";

#!/usr/bin/perl
# hung.pl [--rounds N] [--ms N]: the same static file from servers with the
# module whose InfluxDB is well, and from one whose InfluxDB was stopped in the
# middle of a delivery (SIGSTOP: it takes connections and bytes, and never
# answers).  ImxRounds.pm says what is compared with what.  Prints Markdown;
# fails when points are lost.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxBare;
use ImxReport;
use ImxRounds;
use ImxVisit;

my $rounds = $ENV{BENCH_ROUNDS} // 20;
GetOptions('rounds=i' => \$rounds, 'ms=i' => \$ImxVisit::MS)
    or die "usage: $0 [--rounds N] [--ms N]\n";

my @subjects = map { subject($_) } 'healthy', 'healthy, once more: the control',
    'hung';
my $hung = $subjects[2];
ImxVisit::visit($_) for @subjects;
wait_until(30, sub { status($hung->{server})->{points_pending} == 0 })
    or die "no point arrives\n";
$hung->{db}->pause;
my %group;
for my $way (ImxVisit::ways()) {
    ImxVisit::pin($way, [map { $_->{db}->pid } @subjects], \@subjects);
    my $run = ImxRounds->new(rounds => $rounds, measure => \&ImxVisit::visit);
    $group{$way} = $run->group(@subjects);
    $run->run;
}
my $end = status($hung->{server});
die "points were lost while InfluxDB hung\n" if $end->{points_dropped};
report();

sub subject {
    my ($name) = @_;
    my $db = influxd();
    my $server = ImxBare->new(module => 1, influx => $db, figures => 1,
        report => 'requests=10s',
        conf => sub { "InfluxMetricsBufferSize 512M\n"
            . 'InfluxMetricsSpool ' . $_[0]->dir . "/spool\n" });
    return { name => $name, server => $server, db => $db, path => '/index.html',
        port => $server->port, pids => ImxVisit::httpd_pids($server),
        sent => 0 };
}

sub report {
    print ImxReport::wrapped(sprintf '%s; 12-byte file, event MPM. %s %d '
        . 'points waited in the end, %d of them in the spool, none was lost.',
        ImxVisit::in_words($rounds), ImxReport::PAIRS(),
        $end->{points_pending} + $end->{points_spooled},
        $end->{points_spooled}), "\n";
    print join "\n", map { $group{$_}->table("InfluxDB, $_",
        [rps => 'requests a second', '%.0f'], [p99 => 'p99, ms', '%.2f']) }
        ImxVisit::ways();
    my ($way) = ImxVisit::ways();
    printf "README: While InfluxDB hangs: %s, %s.\n", map {
        ImxRounds::sentence($group{$way}->compare($hung, $_->[0]), $_->[1])
    } [rps => 'throughput'], [p99 => 'p99'];
}

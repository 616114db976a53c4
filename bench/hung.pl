#!/usr/bin/perl
# hung.pl [--rounds N] [--seconds S] [--connections C]: the same static file
# from two servers with the module, one whose InfluxDB is well and one whose
# InfluxDB was stopped in the middle of a delivery (SIGSTOP: it takes
# connections and bytes, and never answers).  Round by round, the load goes to
# one and then the other, so that whatever else the machine does falls on both.
# BENCH_QUICK=1: half a minute.  Prints Markdown; fails when points are lost.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxBare;
use ImxLoad;

my ($rounds, $seconds, $connections) = $ENV{BENCH_QUICK} ? (10, 1, 5)
    : (40, 1, 5);       # short and many, for a machine that does other things
GetOptions('rounds=i' => \$rounds, 'seconds=i' => \$seconds,
    'connections=i' => \$connections)
    or die "usage: $0 [--rounds N] [--seconds S] [--connections C]\n";

my $tool = ImxLoad::tool();
my (%db, %server, %runs);
for my $name (qw(healthy hung)) {
    $db{$name} = influxd();
    $server{$name} = ImxBare->new(module => 1, influx => $db{$name},
        figures => 1,
        conf => sub { "InfluxMetricsBufferSize 512M\n"
            . 'InfluxMetricsSpool ' . $_[0]->dir . "/spool\n" });
    load_once($name, 1);
}
wait_until(30, sub { status($server{hung})->{points_pending} == 0 })
    or die "no point arrives\n";
$db{hung}->pause;
for my $round (1 .. $rounds) {
    print STDERR "# round $round of $rounds\n";
    for my $name ($round % 2 ? qw(healthy hung) : qw(hung healthy)) {
        push @{ $runs{$name} }, load_once($name, $seconds);
    }
}
my $s = status($server{hung});
die "points were lost while InfluxDB hung\n" if $s->{points_dropped};
report($s);

sub load_once {
    my ($name, $duration) = @_;
    my $run = ImxLoad::run($tool, $server{$name}->url('/index.html'),
        connections => $connections, seconds => $duration);
    die "$name: $run->{errors} requests failed\n" if $run->{errors};
    return $run;
}

sub median {
    my @v = sort { $a <=> $b } @_;
    return ($v[$#v / 2] + $v[@v / 2]) / 2;
}

sub report {
    my ($end) = @_;
    printf "%s, %d connections, %d rounds of %d s, 12-byte file, event MPM.\n"
        . "Ratios are medians of the rounds' own ratios to the healthy server "
        . "of the same round.\n%d points waited in the end, %d of them in the "
        . "spool, none was lost.\n\n| InfluxDB | req/s | ratio | p99 ms | "
        . "ratio |\n|---|---|---|---|---|\n",
        $tool->{name}, $connections, $rounds, $seconds,
        $end->{points_pending} + $end->{points_spooled}, $end->{points_spooled};
    for my $name (qw(healthy hung)) {
        my @cells = map {
            my $what = $_;
            my @ratios = map { $runs{$name}[$_]{$what}
                / $runs{healthy}[$_]{$what} } 0 .. $rounds - 1;
            sprintf(($what eq 'rps' ? '%.0f' : '%.2f'),
                median(map { $_->{$what} } @{ $runs{$name} })),
                $name eq 'healthy' ? '-' : sprintf '%.3f', median(@ratios);
        } qw(rps p99);
        print '| ', join(' | ', $name, @cells), " |\n";
    }
}

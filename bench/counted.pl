#!/usr/bin/perl
# counted.pl: what more is counted of each request takes in instructions of the
# module itself, by callgrind (ImxCount.pm): without those of httpd and libc,
# which differ by some 50 from run to run.  The control is the usual request once
# more.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxCount;
use ImxRounds;

my $db = influxd();

sub own {
    my ($conf) = @_;
    my $cost = ImxCount::request(db => $db, module => 1,
        conf => "InfluxMetrics On\n$ImxCount::ON$conf\n");
    my $own = 0;
    $own += $cost->{$_} for grep { /^mod_influx_metrics/ } keys %$cost;
    return $own;
}

my $usual = own('');
printf "| more than by default | instructions a request |\n|---|---|\n";
my $control = own('') - $usual;
printf "| nothing: the control | %+.0f |\n", $control;
printf "| %s | %s |\n", $_, ImxRounds::difference([$control], own($_) - $usual)
    for 'InfluxMetricsBuckets 8 request application',
    'InfluxMetricsObjective 500ms 99.9', 'InfluxMetricsReport phases',
    'InfluxMetricsSample 0';

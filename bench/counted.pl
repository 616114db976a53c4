#!/usr/bin/perl
# counted.pl [--rounds N]: what more is counted of each request takes in
# instructions of the module itself, by callgrind (ImxCount.pm): without those of
# httpd and libc, which differ by some 50 from run to run.  The control is the
# usual request once more.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxCount;
use ImxReport;
use ImxRounds;

my $rounds = 3;
GetOptions('rounds=i' => \$rounds) or die "usage: $0 [--rounds N]\n";
my $db = influxd();

sub own {
    my ($conf) = @_;
    my $cost = ImxCount::request(db => $db, module => 1,
        conf => "InfluxMetrics On\n$ImxCount::ON$conf\n");
    my $own = 0;
    $own += $cost->{$_} for grep { /^mod_influx_metrics/ } keys %$cost;
    return $own;
}

my ($control, @others) = (['nothing: the control', ''],
    map { [$_, $_] } 'InfluxMetricsBuckets 8 request application',
    'InfluxMetricsObjective 500ms 99.9', 'InfluxMetricsReport phases',
    'InfluxMetricsSample 0');
my %added;                      # what => more than the usual request, by round
for (1 .. $rounds) {
    my $usual = own('');
    push @{ $added{ $_->[0] } }, own($_->[1]) - $usual for $control, @others;
}
print "| more than by default | instructions a request | range |\n"
    . "|---|---|---|\n";
my $differs;
for my $name (map { $_->[0] } $control, @others) {
    print "| $name | " . ImxRounds::added($differs, @{ $added{$name} }) . " |\n";
    $differs //= $added{$name};
}
print "\n", ImxReport::wrapped("Median and range of $rounds runs. "
    . ImxReport::COUNTS());

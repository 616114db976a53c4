# How much goes in one delivery when nobody says it: 10,000 lines, with API v3
# 50,000, as InfluxDB 3 answers once a second whatever the size.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use Test::More;

my $n = 14_000;
my %most = (v1 => 10_000, v3 => 50_000);
for my $api (sort keys %most) {
    for my $conf ('', 'InfluxMetricsMaxBody 4M 12000') {
        my $limit = $conf ? 12_000 : $most{$api};
        my $s = ImxStandin->new(away => sub { return answer(503, 'away') });
        $s->mode('away');
        my $h = httpd(module => 1, influx => $s, figures => 1, children => 1,
            conf => "InfluxMetricsAPI $api\n$conf");
        load(url => $h->url, n => $n, c => 8);
        $s->mode('ok');
        figures_are($h, { points_sent => $n }, "$api: all are delivered",
            seconds => 60);
        my ($largest) = sort { $b <=> $a } map { $_->{lines} }
            grep { $_->{mode} eq 'ok' } $s->requests;
        my $expected = $n < $limit ? $n : $limit;
        cmp_ok($largest, '<=', $limit, "$api $conf: none has more than $limit");
        cmp_ok($largest, '>', 0.85 * $expected,
            "$api $conf: the largest has $largest lines");
        $h->stop;
    }
}

finish();

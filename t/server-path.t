# A path in InfluxMetricsServer stands before the paths of each API, as a cluster
# of VictoriaMetrics or a proxy wants it: http://vminsert:8480/insert/0/influx.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use Test::More;

my $s = ImxStandin->new(
    # InfluxDB 1 without the database
    missing => sub {
        return $_[0]{path} =~ m{/query\?}
            ? answer(200, '{"results":[{"statement_id":0}]}')
            : answer(404, '{"error":"database not found: \"httpd\""}');
    });

# The paths that were asked for, without their parameters.
sub paths {
    my ($url, $conf, $n) = @_;
    my ($seen, $stored) = (scalar(my @r = $s->requests), $s->stored);
    my $h = httpd(module => 1, influx => $url, figures => 1, conf => $conf);
    load(url => $h->url, n => $n, c => 2);
    figures_are($h, { points_sent => $n, points_pending => 0,
        points_rejected => 0 }, 'all is sent');
    is($s->stored, $stored + $n, 'and there');
    ok($h->stop, 'stops');
    @r = $s->requests;
    my %paths = map { $_->{path} =~ s/\?.*//r => 1 } @r[$seen .. $#r];
    return sort keys %paths;
}

my %api = (
    v1 => ['InfluxMetricsDatabase httpd', '/write'],
    v2 => ['InfluxMetricsBucket org bucket', '/api/v2/write'],
    v3 => ["InfluxMetricsAPI v3\nInfluxMetricsDatabase httpd",
        '/api/v3/write_lp'],
);
for my $api (sort keys %api) {
    my ($conf, $path) = @{ $api{$api} };
    for my $prefix ('/insert/0/influx', '/insert/0/influx/', '/a%20b', '/') {
        subtest "$api, $prefix" => sub {
            is_deeply([paths($s->url($prefix), $conf, 20)],
                [$prefix =~ s{/$}{}r . $path], 'the path');
        };
    }
}

subtest 'CREATE DATABASE' => sub {
    $s->mode('missing');
    my $h = httpd(module => 1, influx => $s->url('/insert/0/influx'),
        figures => 1);
    load(url => $h->url, n => 20, c => 2);
    ok(wait_until(20, sub {
        grep { $_->{path} =~ m{^/insert/0/influx/query\?q=CREATE} } $s->requests;
    }), 'is asked for behind the path, too');
    $s->mode('ok');
    figures_are($h, { points_sent => 20, points_pending => 0,
        points_rejected => 0 }, 'then all is sent', seconds => 40);
    ok($h->stop, 'stops');
};

finish();

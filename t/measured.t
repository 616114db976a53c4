# Every measurement of intervals, as it is stored by a real InfluxDB 2.7 and by
# VictoriaMetrics: with the tags and fields that the manual says.  (InfluxDB 1 is
# looked at where each measurement is tested.)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxMeasured;
use ImxTest;
use Test::More;

# Written without something to happen that takes its time: a request that hangs.
my @measurements = grep { $_ ne 'slow-requests' } slurp(top()
    . '/docs/measurements.md') =~ /^## ([a-z-]+)$/mg;
cmp_ok(scalar @measurements, '>=', 7, "measurements: @measurements");

# A server that has something to say of each.
sub measure {
    my ($name, $db, $to, $is_there) = @_;
    my $h = httpd(module => 1, influx => $db, start => 0, children => 2,
        threads => 8, report => 'none requests=1s buckets=1s processes=1s '
            . 'workers=1s self=1s pressure=1s events phases',
        vhosts => ['routes.test' => "InfluxMetricsRoute all .\n"
            . 'InfluxMetricsObjective 1s 99']);
    $h->reconf(conf => $to->($h) . "\nInfluxMetricsBuckets 8 request "
        . "application\n")->start;
    load(url => $h->url('/', $_), n => 400, c => 4) for undef, 'routes.test';
    $h->kill_child(($h->children)[0]);
    ok(wait_until(60, $is_there), "$name: all are there");
    ok($h->stop, "$name: stops");
}

subtest 'InfluxDB 2.7' => sub {
    my ($program, $why) = influxd2_program();
    plan skip_all => "no InfluxDB 2: $why" if !$program;
    my $db = influxd2();
    my $has = sub {
        my ($name, $what) = @_;
        return scalar $db->query(qq{SELECT $what FROM "$name" LIMIT 1});
    };
    measure('InfluxDB 2.7', $db, sub { "InfluxMetricsBucket \"$db->{org}\" "
        . 'httpd' . "\nInfluxMetricsTokenFile "
        . $_[0]->secret('token', $db->token . "\n") }, sub {
            return !grep { !$has->($_, '*') } @measurements;
        });
    manual_ok($db, $_, 'httpd') for @measurements;
};

subtest 'VictoriaMetrics' => sub {
    plan skip_all => 'no victoria-metrics' if !which_one('victoria-metrics');
    my $v = victoria();
    measure('VictoriaMetrics', $v, sub { 'InfluxMetricsCreateDatabase Off' },
        sub { return !grep { !$v->samples(qq({__name__=~"${_}_.+"})) }
            @measurements });
    manual_ok_victoria($v, $_) for @measurements;
};

finish();

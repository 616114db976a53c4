# Graceful restarts under load with another database, measurement, spool, URL
# and API, and with InfluxMetrics Off: every point goes to one place, and none
# is lost, also while InfluxDB is down.  Once it is Off, nothing comes any more.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();
my $other = influxd();
my $vm = victoria();

# An old child's points go where the new configuration says, under the name
# that the old one gave them.
sub everywhere {
    my ($mpm) = @_;
    my $n = $vm->samples(
        "{__name__=\"measured_bytes_sent\",server=\"$mpm\"}");
    for my $server (grep { $_->alive } $db, $other) {
        for my $measurement ('raw-requests', 'measured') {
            $n += $server->count($measurement, "$mpm$_") for 'a', 'b';
        }
    }
    return $n;
}

sub all_are_somewhere {
    my ($h, $mpm, $name) = @_;
    my ($n, $wanted) = (-1, -1);
    wait_until(40, sub {
        $n = everywhere($mpm);
        return $n == ($wanted = $h->access_count);
    });
    return is($n, $wanted, "$mpm: $name");
}

for my $mpm (qw(event prefork)) {
    for my $server ($db, $other) {
        $server->query("CREATE DATABASE $mpm$_") for 'a', 'b';
    }
    my $server = $db->url;
    # So small that the spool is needed soon.
    my $small = "ServerLimit 12\nInfluxMetricsBufferSize 1M\n";
    my $h = httpd(mpm => $mpm, module => 1, figures => 1, influx => $db,
        children => $mpm eq 'prefork' ? 10 : 2,
        conf => "${small}InfluxMetricsDatabase ${mpm}a\n");
    my $change = sub {
        my ($conf, %o) = @_;
        $h->reconf(influx => $o{influx} // $server, conf => sub {
            "ServerName $mpm\n$small" . $conf =~ s/DIR/$_[0]->dir/ger });
        return $h->graceful;
    };
    my $ask = sub {
        client(port => $h->port, n => $_[0], c => 4, rate => 500)->wait;
    };
    my $some_in = sub {
        my ($where, $measurement, $name) = @_;
        ok(wait_until(20, sub { $where->count($measurement, $name) > 0 }),
            "$mpm: some $measurement in $name of " . $where->url);
    };
    my $w = watch($h, pause => 0.05);
    my $load = client(port => $h->port, c => 4, rate => 100, seconds => 5);
    $change->("InfluxMetricsDatabase ${mpm}a");
    $some_in->($db, 'raw-requests', "${mpm}a");
    $change->("InfluxMetricsDatabase ${mpm}b");
    $some_in->($db, 'raw-requests', "${mpm}b");
    my $measured = "InfluxMetricsMeasurement measured\n"
        . "InfluxMetricsDatabase ${mpm}b\n";
    $change->($measured);
    $some_in->($db, 'measured', "${mpm}b");
    $server = $other->url;
    $change->($measured);
    $some_in->($other, 'measured', "${mpm}b");
    $load->wait;
    all_are_somewhere($h, $mpm, 'database, measurement, URL');

    # Another spool, and none, while InfluxDB is down: what is in the first
    # one arrives as well.
    $change->("${measured}InfluxMetricsSpool DIR/spool-a");
    $other->stop;
    $ask->(6_000);
    ok(wait_until(10, sub { glob $h->dir . '/spool-a/*.lp' }),
        "$mpm: files in the first spool");
    $change->("${measured}InfluxMetricsSpool DIR/spool-b");
    $ask->(6_000);
    ok(wait_until(10, sub { glob $h->dir . '/spool-b/*.lp' }),
        "$mpm: files in the second spool");
    accounts_ok($h, "$mpm: spools");
    $change->($measured);
    $ask->(200);
    $other->start;
    all_are_somewhere($h, $mpm, 'with another spool, and without one');
    ok(wait_until(10, sub { !glob $h->dir . '/spool-*/*.lp' }),
        "$mpm: no file is left");

    # Another API.  (Its milliseconds must not be taken for the same time.)
    $change->("InfluxMetricsBucket o b\nInfluxMetricsMeasurement measured\n"
        . "InfluxMetricsAPI v2", influx => $vm);
    for (1 .. 20) {
        get($h->url);
        select undef, undef, undef, 0.002;
    }
    all_are_somewhere($h, $mpm, 'another API');

    # Off: what was recorded before arrives.
    $server = $db->url;
    $change->("InfluxMetricsDatabase ${mpm}b");
    $ask->(500);
    my $logged = $h->access_count;
    $change->("InfluxMetricsDatabase ${mpm}b\nInfluxMetrics Off");
    wait_until(20, sub { everywhere($mpm) >= $logged });
    my $before = everywhere($mpm);
    $w->ok($mpm);
    accounts_ok($h, "$mpm: off");
    is(status($h)->{points_pending}, 0, "$mpm: nothing is left");
    cmp_ok($before, '>=', $logged, "$mpm: Off: what was recorded arrives");
    is_deeply([grep { !/IMX002[01]/ } $h->complaints], [],
        "$mpm: the error log is clean");
    ok($h->stop, "$mpm: stops");
    is(everywhere($mpm), $before, "$mpm: and that was all");
}

# Measurements of intervals: what requests have counted is written, and of how
# things are nothing any more.
my $h = httpd(module => 1, figures => 1, influx => $db, children => 2,
    report => 'requests=1s buckets=1s processes=1s workers=1s self=1s '
        . 'pressure=1s events', conf => 'InfluxMetricsDatabase off');
get($h->url) for 1 .. 5;
$h->reconf(influx => undef, conf => "InfluxMetricsServer @{[$db->url]}\n"
    . 'InfluxMetricsDatabase off');
$h->graceful(gone => 1);
ok(wait_until(20, sub {
    my ($row) = eval { $db->query('SELECT sum("request_count") AS n '
        . 'FROM "request-metrics"', 'off') };
    return ($row->{n} // 0) == 5 }), 'Off: what was counted is written');
# Those of the last interval of before may be on their way.
my $then = figures($h);
ok(wait_until(20, sub {
    my $now = figures($h);
    return $now->{uptime} >= $then->{uptime} + 4
        if $now->{points_recorded} == $then->{points_recorded};
    $then = $now;
    return 0 }), '... and then nothing any more, for four seconds');
ok($h->stop, 'stops');

finish();

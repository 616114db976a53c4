# InfluxDB is away, comes, dies, hangs, forgets its database: every point
# arrives, once, and the error log tells of it in a few lines.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;
use Time::HiRes qw(time);

sub few_complaints {
    my ($h, $name) = @_;
    my @lines = grep { /IMX\d{4}:/ } $h->error_log;
    cmp_ok(scalar @lines, '>=', 1, "$name: the error log tells of it");
    cmp_ok(scalar @lines, '<=', 10, "$name: in a few lines")
        or diag join "\n", @lines;
}

subtest 'absent at the start' => sub {
    my $db = influxd(start => 0);
    my $h = httpd(module => 1, figures => 1, influx => $db);
    load(url => $h->url, n => 500, c => 4);
    ok(wait_until(20, sub { grep { /IMX\d{4}:/ } $h->error_log }),
        'httpd serves, and the log says that InfluxDB is away');
    accounts_ok($h, 'away');
    $db->start;
    load(url => $h->url, n => 100, c => 4);
    count_is($db, 600, 'all points arrive, in a database that was missing',
        seconds => 60);
    few_complaints($h, 'absent');
    accounts_ok($h, 'absent');
    ok($h->stop, 'stops');
};

subtest 'killed, restarted, paused under load' => sub {
    my $db = influxd();
    my $h = httpd(module => 1, figures => 1, influx => $db,
        conf => 'InfluxMetricsTimeout 1s 1s');
    my $load = client(port => $h->port, c => 4, rate => 100, seconds => 11);
    my $seen = sub {
        my ($n) = @_;
        wait_until(20, sub { $h->access_count >= $n });
    };
    $seen->(400);
    $db->kill;
    $seen->($h->access_count + 600);
    $db->start;
    $seen->($h->access_count + 200);
    # Long enough for a transfer that InfluxDB has taken to run into the time
    # limit: it is sent again and must not count twice.
    $db->pause;
    $seen->($h->access_count + 600);
    $db->resume;
    $seen->($h->access_count + 200);
    # What it had not read when it was killed had been sent, but not stored.
    $db->pause;
    $seen->($h->access_count + 600);
    $db->kill;
    $db->start;
    my $r = $load->wait;
    is($r->{broken}, 0, 'no request noticed');
    count_is($db, $h, 'points = access log', seconds => 60);
    few_complaints($h, 'restarts');
    accounts_ok($h, 'restarts');
    ok($h->stop, 'stops');
    is($db->count, $h->access_count, 'points = access log after the stop');
};

subtest 'database dropped' => sub {
    my $db = influxd();
    my $h = httpd(module => 1, figures => 1, influx => $db);
    load(url => $h->url, n => 100, c => 2);
    count_is($db, 100, 'points before');
    $db->query('DROP DATABASE httpd');
    load(url => $h->url, n => 200, c => 2);
    count_is($db, 200, 'made again, and nothing lost', seconds => 60);
    accounts_ok($h, 'dropped');
    ok($h->stop, 'stops');
};

subtest 'a graceful restart while InfluxDB hangs' => sub {
    for my $mpm (qw(event prefork)) {
        my $db = influxd();
        my $h = httpd(mpm => $mpm, module => 1, figures => 1, influx => $db,
            children => 8, conf => 'InfluxMetricsShutdownTimeout 8s');
        load(url => $h->url, n => 100, c => 2);
        count_is($db, 100, "$mpm: points before");
        $db->pause;
        load(url => $h->url, n => 300, c => 2);
        my %old = map { $_ => 1 } $h->children;
        my $begin = time;
        $h->graceful;
        wait_until(20, sub { !grep { $old{$_} } $h->children });
        cmp_ok(time - $begin, '<', 6 * slow(),
            "$mpm: old children do not wait for InfluxDB");
        load(url => $h->url, n => 100, c => 2);
        accounts_ok($h, "$mpm: hanging");
        $db->resume;
        count_is($db, 500, "$mpm: all points arrive", seconds => 60);
        accounts_ok($h, "$mpm: after that");
        ok($h->stop, "$mpm: stops");
    }
};

subtest 'a stop while InfluxDB hangs' => sub {
    for my $mpm (qw(event prefork)) {
        my $db = influxd();
        my $h = httpd(mpm => $mpm, module => 1, figures => 1,
            influx => $db, children => 8,
            conf => 'InfluxMetricsShutdownTimeout 1s');
        load(url => $h->url, n => 100, c => 2);
        count_is($db, 100, "$mpm: points before");
        $db->pause;
        load(url => $h->url, n => 300, c => 2);
        my $begin = time;
        ok($h->stop, "$mpm: stops");
        cmp_ok(time - $begin, '<', 5 * slow(), "$mpm: within its limit");
        ok(!(grep { /AH00045|AH00046/ } $h->error_log),
            "$mpm: without httpd becoming impatient");
        # The first 100 can be stored without the answer having been read, and
        # prefork may stop before it has logged the last.
        my ($n) = map { /IMX\d{4}:.*\b(\d+) points are given up/ }
            $h->error_log;
        my $all = $h->access_count;
        ok(defined $n && $n >= $all - 100 && $n <= $all,
            "$mpm: the log says how many points were given up")
            or diag join "\n", $h->error_log;
    }
};

finish();

# Graceful restarts under load, one after the other: nothing is lost, nothing
# counted twice, and the error log is clean.  `make test-restarts` does a hundred
# on each MPM (IMX_TIMES).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $times = $ENV{IMX_TIMES} || 3;
my $db = influxd();

my %room = (
    event => { children => 2, threads => 16 },
    worker => { children => 2, threads => 16 },
    prefork => { children => 12 },
);

for my $mpm (qw(event worker prefork)) {
    $db->query("CREATE DATABASE $mpm");
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        %{ $room{$mpm} }, conf => "InfluxMetricsDatabase $mpm");
    my $w = watch($h, pause => 0.05);
    # As long as it takes, and some seconds more on a busy machine.
    my $load = client(port => $h->port, c => 8, seconds => 2 + 1.5 * $times,
        rate => 100);
    my $served = 0;
    for (1 .. $times) {
        my $before = $h->access_count;
        $h->graceful;
        # The new generation has served some requests.
        wait_until(10, sub { $h->access_count > $before + 20 });
        $served++ if $h->access_count > $before;
    }
    my $r = $load->wait;
    cmp_ok($served, '>=', 0.9 * $times, "$mpm: $times restarts under load");
    ok(wait_until(10, sub { $h->access_count >= $r->{complete} }),
        "$mpm: $r->{complete} answers are logged");
    count_is($db, $h, "$mpm: points = access log", database => $mpm);
    ok(wait_until(10, sub {
        my $s = status($h);
        $s->{points_sent} == $h->access_count;
    }), "$mpm: and so say the figures");
    $w->ok($mpm);
    accounts_ok($h, $mpm);
    ok($h->stop, "$mpm: stops");
    is($db->count('raw-requests', $mpm), $h->access_count,
        "$mpm: and that was all");
    is_deeply([$h->complaints], [], "$mpm: the error log is clean");
}

finish();

# N requests are N points, on each MPM: over keep-alive connections, with a
# graceful restart in the middle and a stop at the end, whichever way it stops.
# What the access log has is what happened; the client's view only bounds it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $requests = $ENV{IMX_REQUESTS} || 40_000;
my $db = influxd();

sub sum_is {
    my ($h, $database, $name) = @_;
    my $logged = 0;
    $logged += $_->{bytes} for $h->access_log;
    my ($row) = $db->query(
        'SELECT sum(bytes_sent) AS n FROM "raw-requests"', $database);
    is($row->{n}, $logged, $name);
}

# httpd logs a request after the client has its answer; stopped in between,
# prefork does not.
sub is_logged {
    my ($h, $n) = @_;
    return wait_until(20, sub { $h->access_count >= $n });
}

# Clients of which every one has an own worker, in both generations.
my %room = (
    event => { children => 2, threads => 16 },
    worker => { children => 2, threads => 16 },
    prefork => { children => 20 },
);

for my $mpm (qw(event worker prefork)) {
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, %{ $room{$mpm} },
        conf => "InfluxMetricsDatabase graceful_$mpm");
    my $load = client(port => $h->port, n => $requests, c => 16);
    ok(wait_until(60, sub { $h->access_count > $requests / 6 }),
        "$mpm: load is under way");
    $h->graceful;
    cmp_ok($h->access_count, '<', $requests,
        "$mpm: the graceful restart came in the middle");
    my $r = $load->wait;
    is($r->{sent}, $requests, "$mpm: the client asked $requests times");
    ok(is_logged($h, $r->{complete}), "$mpm: each answer is logged");
    ok($h->stop, "$mpm: stops");
    my $logged = $h->access_count;
    count_is($db, $logged, "$mpm: points = access log",
        database => "graceful_$mpm");
    sum_is($h, "graceful_$mpm", "$mpm: the same bytes");
    ok(!(grep { /exit signal/ } $h->error_log), "$mpm: no child crashed");

    # Debian's way to stop, and what systemd makes of it.  Nothing may depend on
    # a tick that still comes.
    for my $way (qw(graceful_stop systemd_stop)) {
        $h = httpd(mpm => $mpm, module => 1, influx => $db, %{ $room{$mpm} },
            conf => "InfluxMetricsDatabase ${way}_$mpm");
        load(url => $h->url, n => 3000, c => 8);
        is_logged($h, 3000);
        ok($h->$way, "$mpm: $way");
        count_is($db, 3000, "$mpm: 3000 requests and a $way, 3000 points",
            database => "${way}_$mpm");
    }

    # Children that end after some connections, all the time.
    $h = httpd(mpm => $mpm, module => 1, influx => $db, children => 10,
        threads => 4, conf => "InfluxMetricsDatabase recycled_$mpm\n"
            . 'MaxConnectionsPerChild 50');
    # httpd itself forgets a connection now and then when a child ends.
    client(port => $h->port, n => 1500, c => 4, close => 1, timeout => 2)
        ->wait;
    my %pids = map { $_->{pid} => 1 } $h->access_log;
    cmp_ok(scalar keys %pids, '>=', 20, "$mpm: children come and go");
    count_is($db, $h, "$mpm: recycled children leave no point behind",
        database => "recycled_$mpm");
    ok($h->stop, "$mpm: stops");
    is($db->count('raw-requests', "recycled_$mpm"), $h->access_count,
        "$mpm: and that was all");

    # One process, parent and child in one.
    $h = httpd(mpm => $mpm, module => 1, influx => $db, start => 0,
        conf => "InfluxMetricsDatabase one_$mpm");
    $h->start('-X');
    load(url => $h->url, n => 300, c => 1);
    is_logged($h, 300);
    ok($h->stop, "$mpm: -X stops");
    count_is($db, 300, "$mpm: -X: 300 requests, 300 points",
        database => "one_$mpm");
}

finish();

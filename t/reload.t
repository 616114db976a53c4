# The module comes and goes by graceful restarts; ten restarts under light load
# lose nothing, leave no shared memory behind and no word in the error log.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();

# Anonymous shared memory of the parent.
sub shared_areas {
    my ($h) = @_;
    return scalar grep { m{^\S+ \S{3}s .*/dev/zero} }
        split /\n/, slurp('/proc/' . $h->pid . '/maps');
}

for my $mpm (qw(event worker prefork)) {
    my $database = "come_$mpm";
    # Made by hand: that InfluxDB has no database is worth a line in the log.
    $db->query("CREATE DATABASE $_") for $database, "ten_$mpm";
    my $h = httpd(mpm => $mpm, influx => $db, children => 4, module => 0);
    my $plain = shared_areas($h);
    load(url => $h->url, n => 100, c => 2);
    $h->reconf(module => 1, influx => undef, conf => '');
    $h->graceful(gone => 1);
    is(shared_areas($h), $plain, "$mpm: loaded, but off: takes no memory");

    $h->reconf(influx => $db, conf => "InfluxMetricsDatabase $database");
    $h->graceful(gone => 1);
    load(url => $h->url, n => 200, c => 2);
    count_is($db, 200, "$mpm: switched on by a graceful restart",
        database => $database);

    # At once, so that the old children have points left when they go.
    load(url => $h->url, n => 300, c => 2);
    $h->reconf(module => 0, conf => '');
    $h->graceful(gone => 1);
    load(url => $h->url, n => 100, c => 2);
    count_is($db, 500, "$mpm: removed, its last points arrive",
        database => $database);

    $h->reconf(module => 1, conf => "InfluxMetricsDatabase $database");
    $h->graceful(gone => 1);
    load(url => $h->url, n => 100, c => 2);
    count_is($db, 600, "$mpm: added again", database => $database);
    ok($h->stop, "$mpm: stops");
    is($db->count('raw-requests', $database), 600, "$mpm: and that was all");
    is_deeply([$h->complaints], [], "$mpm: the error log is clean");

    $database = "ten_$mpm";
    $h = httpd(mpm => $mpm, module => 1, influx => $db, children => 4,
        figures => 1, conf => "InfluxMetricsDatabase $database");
    my $w = watch($h, pause => 0.1);
    my $areas = shared_areas($h);
    cmp_ok($areas, '>', $plain, "$mpm: the module has shared memory");
    my $load = client(port => $h->port, c => 2, rate => 100,
        seconds => $mpm eq 'prefork' ? 3 : 12);
    $h->graceful for 1 .. 10;
    $load->wait;
    is(shared_areas($h), $areas, "$mpm: as much after ten graceful restarts");
    count_is($db, $h, "$mpm: points = access log",
        database => $database);

    $h->restart;
    load(url => $h->url, n => 100, c => 2);
    count_is($db, $h, "$mpm: also after a hard restart",
        database => $database);

    # Another size (see resize.t).
    load(url => $h->url, n => 300, c => 2);
    $h->reconf(conf =>
        "InfluxMetricsDatabase $database\nInfluxMetricsBufferSize 16M");
    $h->graceful(gone => 1);
    load(url => $h->url, n => 100, c => 2);
    count_is($db, $h, "$mpm: also after another buffer size",
        database => $database);
    $w->ok($mpm);
    accounts_ok($h, $mpm);
    ok($h->stop, "$mpm: stops");
    is($db->count('raw-requests', $database), $h->access_count,
        "$mpm: and that was all");
    is_deeply([$h->complaints], [], "$mpm: the error log is clean");
}

# A request that takes long keeps an old child, and the lease, alive: points go
# where the new configuration says all the same.
for my $mpm (qw(event worker)) {
    $db->query("CREATE DATABASE $_") for "old_$mpm", "new_$mpm";
    # Room for a second child: httpd may not replace the only one, worker's,
    # while a thread of it is busy.
    my $conf = "MaxRequestWorkers 4\nMinSpareThreads 1\nTimeout 60\n";
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, children => 1,
        threads => 2, conf => "${conf}InfluxMetricsDatabase old_$mpm");
    get($h->url);
    count_is($db, 1, "$mpm: points before", database => "old_$mpm");
    my ($old) = $h->children;
    my $long = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $h->port) or die "connect: $!";
    syswrite $long, "GET / HTTP/1.1\r\n";
    # Accepted is not enough: a worker may still throw it away at a restart.
    my $ends = sprintf ':%04X [0-9A-F]+:%04X', $h->port, $long->sockport;
    my $was_read = sub {
        open my $table, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!";
        return scalar grep { /$ends \S+ [0-9A-F]+:0{8} / } <$table>;
    };
    ok(wait_until(20, $was_read), "$mpm: the child has read of a request");
    $h->reconf(conf => "${conf}InfluxMetricsDatabase new_$mpm");
    $h->graceful;
    ok(wait_until(20, sub { grep { $_ != $old } $h->children }),
        "$mpm: there is a new child");
    load(url => $h->url, n => 100, c => 1);
    count_is($db, 100, "$mpm: points in the new database",
        database => "new_$mpm", seconds => 10);
    ok((grep { $_ == $old } $h->children), "$mpm: the old child still lives");
    syswrite $long, "Host: imx.test\r\nConnection: close\r\n\r\n";
    ok(wait_until(20, sub { !grep { $_ == $old } $h->children }),
        "$mpm: and ends when its request does");
    count_is($db, 101, "$mpm: whose point is not lost",
        database => "new_$mpm");
    ok($h->stop, "$mpm: stops");
}

finish();

# Another InfluxMetricsBufferSize by a graceful restart, under load: larger,
# smaller, several in quick succession, old children killed, stopped right
# after.  Nothing is lost or counted twice, no figure goes back, and the size is
# what was asked for.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();

my %room = (
    event => { children => 2, threads => 16 },
    prefork => { children => 12 },
);

sub size {
    my ($h, $size, %o) = @_;
    $h->reconf(conf => "InfluxMetricsDatabase $h->{database}\n"
        . "InfluxMetricsBufferSize $size");
    return $h->graceful(%o);
}

# All that was recorded is in InfluxDB, line for line.
sub all_is_stored {
    my ($h, $name) = @_;
    my $s;
    wait_until(40, sub {
        $s = status($h) or return;
        return $s->{points_pending} == 0
            && $s->{points_sent} == $db->count('raw-requests', $h->{database});
    });
    is($s->{points_sent}, $db->count('raw-requests', $h->{database}),
        "$name: sent = stored");
    is($s->{points_recorded}, $s->{points_sent} + $s->{dropped_torn},
        "$name: recorded = sent") or diag explain $s;
    return $s;
}

sub server {
    my ($mpm, $database) = @_;
    $db->query("CREATE DATABASE $database");
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        %{ $room{$mpm} }, conf => "InfluxMetricsDatabase $database\n"
            . 'InfluxMetricsBufferSize 16M');
    $h->{database} = $database;
    return $h;
}

# The size has nothing to do with the MPM; worker is like event.
for my $mpm (qw(event prefork)) {
    my $h = server($mpm, "size_$mpm");
    my $w = watch($h);
    my $begin = status($h)->{buffer_size};
    my $load = client(port => $h->port, c => 6, rate => 300, seconds => 6);
    my $more = sub {
        my $goal = $h->access_count + 300;
        wait_until(20, sub { $h->access_count >= $goal });
    };
    $more->();
    size($h, '64M');
    is(status($h)->{buffer_size}, 64 << 20, "$mpm: larger");
    $more->();
    size($h, '16M');
    is(status($h)->{buffer_size}, $begin, "$mpm: smaller");
    $more->();
    size($h, $_) for '24M', '32M', '28M', '40M';
    is(status($h)->{buffer_size}, 40 << 20, "$mpm: often");
    my $r = $load->wait;
    ok(wait_until(10, sub { $h->access_count >= $r->{complete} }),
        "$mpm: all is logged");
    count_is($db, $h, "$mpm: points = access log", database => "size_$mpm");
    all_is_stored($h, "$mpm: larger, smaller, often");

    # Full beyond the new size while InfluxDB is away: nothing is given up.
    $db->stop;
    client(port => $h->port, n => 3000, c => 4)->wait;
    size($h, '1M', gone => 1);
    my $s = status($h);
    cmp_ok($s->{buffer_size}, '<', $begin, "$mpm: small, while down");
    client(port => $h->port, n => 1000, c => 4)->wait;
    is(status($h)->{points_dropped}, 0, "$mpm: nothing is given up");
    size($h, '16M');
    $db->start;
    count_is($db, $h, "$mpm: points = access log after the outage",
        database => "size_$mpm", seconds => 60);
    all_is_stored($h, "$mpm: down");

    # Stopped right after.
    client(port => $h->port, n => 500, c => 4)->wait;
    size($h, '20M');
    ok($h->stop, "$mpm: stops");
    $w->ok($mpm);
    count_is($db, $h, "$mpm: points = access log after the stop",
        database => "size_$mpm");
    is_deeply([grep { !/IMX002[01]/ } $h->complaints], [],
        "$mpm: the error log is clean");
    my @sizes = map { /IMX0060: .* is (\d+) bytes/ } $h->error_log;
    is(scalar @sizes, 8, "$mpm: the log tells of each size");

    # Old and new children killed while both use it.
    $h = server($mpm, "killed_$mpm");
    $w = watch($h);
    $load = client(port => $h->port, c => 6, seconds => 5);
    $more->();
    my $kills = 0;
    for my $size ('64M', '16M', '32M') {
        my @old = $h->children;
        size($h, $size);
        # Not all: who was killed is not replaced before httpd looks.
        $kills += $h->kill_child($_) for @old[0 .. $#old / 2],
            ($h->children)[-1];
        $more->();
    }
    $load->wait;
    cmp_ok($kills, '>=', 3, "$mpm: $kills children were killed");
    $s = all_is_stored($h, "$mpm: killed");
    my $difference = $s->{points_recorded} - $h->access_count;
    cmp_ok(abs $difference, '<=', $kills,
        "$mpm: points - access log = $difference");
    is($s->{dropped_no_room} + $s->{dropped_oldest}, 0,
        "$mpm: none for want of room");
    $w->ok("$mpm: killed");
    ok($h->stop, "$mpm: stops");
}

finish();

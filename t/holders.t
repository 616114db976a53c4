# kill -9 of the child that delivers while InfluxDB has bytes of it that were
# not answered, again and again under load: nothing is lost, nothing counted
# twice.  `make test-holders` does it a hundred times on each MPM (IMX_TIMES).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $times = $ENV{IMX_TIMES} || 4;
my $db = influxd();
my $address = sprintf '0100007F:%04X', $db->port;

# InfluxDB has not read all of what it was sent.
sub is_being_sent {
    return scalar grep { /^\s*\d+: $address \S+ 01 \S+:(?!0{8})/ }
        split /\n/, slurp('/proc/net/tcp');
}

for my $mpm (qw(event worker prefork)) {
    $db->query("CREATE DATABASE $mpm");
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        ($mpm eq 'prefork' ? (children => 12) : (children => 4, threads => 8)),
        conf => "InfluxMetricsDatabase $mpm\nInfluxMetricsInterval 100ms\n");
    my $w = watch($h, pause => 0.05);
    my ($kills, $s) = (0);
    while ($kills < $times) {
        ok(wait_until(20, sub {
            $s = status($h);
            return $s && grep { $_ == $s->{lease_holder} } $h->children;
        }), "$mpm: there is a holder") or last;
        $db->pause;
        my $load = client(port => $h->port, c => 4, n => 400, timeout => 5);
        # A new holder may be waiting until it tries again.
        my $sending = wait_until(45, sub { is_being_sent() });
        $s = status($h) // $s;
        $kills += $h->kill_child($s->{lease_holder}) if $sending;
        ok($sending, "$mpm: it was sending");
        $load->wait if $kills % 2;
        $db->resume;
        $load->wait if $kills % 2 == 0;
    }
    is($kills, $times, "$mpm: $kills holders were killed");
    ok(wait_until(60, sub {
        $s = status($h) or return;
        return $s->{points_pending} == 0
            && $s->{points_sent} == $db->count('raw-requests', $mpm);
    }), "$mpm: sent = stored, line for line") or diag explain $s;
    is($s->{points_recorded}, $s->{points_sent} + $s->{dropped_torn},
        "$mpm: recorded = sent ($s->{dropped_torn} torn)");
    my $difference = $h->access_count - $s->{points_recorded};
    cmp_ok(abs $difference, '<=', $kills,
        "$mpm: access log - recorded = $difference: killed between the two");
    $w->ok($mpm);
    ok($h->stop, "$mpm: stops");
    is($db->count('raw-requests', $mpm), $s->{points_sent},
        "$mpm: and that was all");
}

finish();

# worker-states: how much of the workers is used, exactly, and how many
# connections wait for one, while workers hang in requests that do not end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use ImxMeasured;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);

my $db = influxd();

# Connections with the begin of a request: each holds a worker, or waits for
# one.
sub hang {
    my ($h, $count) = @_;
    return map {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $h->port, Proto => 'tcp') or die "connect: $!";
        print $s "GET / HTTP/1.1\r\nHost: localhost\r\n";
        $s->flush;
        $s;
    } 1 .. $count;
}

sub points {
    my ($mpm, $since) = @_;
    return if !$db->count('worker-states', $mpm, 'busy');
    return $db->query('SELECT * FROM "worker-states" WHERE time > '
        . int($since * 1e9), $mpm);
}

# Waits for a point after now of which it is so; the last one seen.
sub wait_for_point {
    my ($mpm, $seconds, $is_so) = @_;
    my ($since, $last) = time;
    wait_until($seconds, sub {
        my @p = points($mpm, $since) or return 0;
        $last = $p[-1];
        return $is_so->($last);
    });
    return $last;
}

# One whole interval after now.  (On a busy machine the holder may not have looked
# at the workers in an interval: then that has no capacity.)
sub settled {
    my ($mpm) = @_;
    my ($since, @p) = time;
    wait_until(20, sub {
        @p = grep { defined $_->{capacity_utilization} } points($mpm, $since);
        return @p >= 3;
    });
    return $p[-1];
}

for my $mpm (qw(event worker prefork)) {
    my %room = $mpm eq 'prefork' ? (children => 8)
        : (children => 2, threads => 4);
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, %room,
        figures => 1,
        conf => "InfluxMetricsDatabase $mpm\nInfluxMetricsReport workers=1s\n"
            . "Timeout 300\n");

    my $p = settled($mpm);
    is($p->{workers_max}, 8, "$mpm: 8 workers");
    is($p->{children}, $room{children}, "$mpm: in $p->{children} children");
    cmp_ok($p->{idle} + $p->{dead} + $p->{starting}, '>=', 8,
        "$mpm: none of them does anything");
    cmp_ok($p->{capacity_utilization}, '<=', 0.02, "$mpm: nothing is used");
    is($p->{listen_queue}, 0, "$mpm: nobody waits");
    is($p->{listen_limit}, 2 * 511, "$mpm: 511 can, for each of two ports");
    is(exists $p->{async_wait_io}, $mpm eq 'event',
        "$mpm: connections without a worker, if there are such");

    # Asked for now, so that no worker of the child that is stopped serves it.
    my $holder = figures($h)->{lease_holder};
    # The worker that answered is free again.  When event's listener finds none
    # free in the moment in which one becomes free, it takes no connection until
    # something else happens in its child (connections_above_limit() of event.c).
    wait_for_point($mpm, 20, sub { $_[0]{busy} == 0 });
    my @held = hang($h, 5);
    wait_for_point($mpm, 10, sub { $_[0]{busy} == 5 });
    $p = settled($mpm);
    is($p->{reading}, 5, "$mpm: five of them read");
    cmp_ok(abs($p->{capacity_utilization} - 5 / 8), '<=', 0.02,
        "$mpm: five of eight: $p->{capacity_utilization}");

    # A child that is stopped changes nothing.
    my ($other) = grep { $_ != $holder } $h->children;
    kill STOP => $other;
    $p = settled($mpm);
    kill CONT => $other;
    cmp_ok(abs($p->{capacity_utilization} - 5 / 8), '<=', 0.02,
        "$mpm: ... and a stopped child: $p->{capacity_utilization}");

    push @held, hang($h, 3);
    $p = wait_for_point($mpm, 20, sub { $_[0]{busy} == 8 });
    is($p->{busy}, 8, "$mpm: all are busy");
    my $since = time;
    my @waiting = hang($h, 7);
    $p = wait_for_point($mpm, 20, sub { $_[0]{listen_queue} >= 5 });
    cmp_ok($p->{listen_queue}, '>=', 5,
        "$mpm: $p->{listen_queue} of 7 wait for a worker")
        || diag(explain([points($mpm, $since)]));
    my ($first) = grep { $_->{listen_queue} >= 5 } points($mpm, $since);
    cmp_ok($first->{time} / 1e9 - $since, '<=', 2, "$mpm: ... within 2 s");
    close $_ for @held, @waiting;
    $p = wait_for_point($mpm, 20,
        sub { $_[0]{listen_queue} == 0 && $_[0]{busy} == 0 });
    is($p->{listen_queue}, 0, "$mpm: nobody waits any more");
    $p = settled($mpm);
    cmp_ok($p->{capacity_utilization}, '<=', 0.02, "$mpm: nothing is used");

    # A mean of what was: half of the workers for a part of the time.
    is(scalar(grep { ($_->{capacity_utilization} // 0) > 1 } points($mpm, 0)), 0,
        "$mpm: it is never more than all");
    manual_ok($db, 'worker-states', $mpm);
    accounts_ok($h, $mpm);
    ok($h->stop, "$mpm: stops");
    is_deeply([$h->complaints], [], "$mpm: no complaints");
}

finish();

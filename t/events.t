# server-events: what happened to the server, once each: starts, restarts,
# children that are killed, children that take over the delivery.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use ImxMeasured;
use Test::More;

my $db = influxd();

sub events {
    my ($mpm, $kind) = @_;
    return () = () if !$db->count('server-events', $mpm, 'pid');
    my $where = $kind ? " WHERE kind = '$kind'" : '';
    return $db->query("SELECT * FROM \"server-events\"$where", $mpm);
}

# Waits for the number of events of a kind, and returns them.
sub await {
    my ($mpm, $kind, $count) = @_;
    wait_until(20, sub { events($mpm, $kind) >= $count });
    my @e = events($mpm, $kind);
    is(scalar @e, $count, "$mpm: $kind: $count");
    return @e;
}

for my $mpm (qw(event worker prefork)) {
    my %room = $mpm eq 'prefork' ? (children => 4)
        : (children => 3, threads => 4);
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, %room,
        figures => 1, conf => "InfluxMetricsDatabase $mpm\n"
            . "MaxConnectionsPerChild 50\nInfluxMetricsReport events");
    my @e = await($mpm, 'start', 1);
    is($e[0]{pid}, $h->pid, "$mpm: it was this httpd");
    @e = await($mpm, 'holder', 1);
    is($e[0]{pid}, figures($h)->{lease_holder}, "$mpm: who delivers");

    # A child that is not the holder; by a signal that httpd's log tells of, and
    # by one of which it says nothing.
    my @killed;
    for my $signal (9, 6) {
        my $holder = figures($h)->{lease_holder};
        my ($other) = grep { $_ != $holder } $h->children;
        kill $signal => $other;
        push @killed, [$other, $signal];
        @e = await($mpm, 'child_killed', scalar @killed);
        is($e[-1]{pid}, $other, "$mpm: it was that child");
        is($e[-1]{signal}, $signal, "$mpm: by signal $signal");
        is($e[-1]{text}, "child $other was killed by signal $signal",
            "$mpm: its text");
    }

    # The holder.
    my $holder = figures($h)->{lease_holder};
    my $holders = events($mpm, 'holder');
    $h->kill_child($holder);
    push @killed, [$holder, 9];
    @e = await($mpm, 'child_killed', scalar @killed);
    ok(wait_until(20, sub {
        my ($last) = (events($mpm, 'holder'))[-1];
        return events($mpm, 'holder') == $holders + 1
            && $last->{pid} != $holder;
    }), "$mpm: another one delivers");

    # Children that end as they are to are not killed.
    load(url => $h->url('/'), n => 300, c => 2);
    $h->graceful(gone => 1);
    $h->graceful(gone => 1);
    @e = await($mpm, 'graceful', 2);
    cmp_ok($e[1]{generation}, '>', $e[0]{generation}, "$mpm: generations");
    is(scalar events($mpm, 'start'), 1, "$mpm: that was no start");
    $h->restart;
    @e = await($mpm, 'restart', 1);

    @e = await($mpm, 'child_killed', scalar @killed);
    is_deeply([map { [@$_{qw(pid signal)}] } @e], \@killed,
        "$mpm: nobody else was killed") || diag(explain(\@e));
    my %times = map { ("$_->{kind} $_->{time}" => 1) } events($mpm);
    is(scalar keys %times, scalar events($mpm), "$mpm: each has its time");
    manual_ok($db, 'server-events', $mpm);
    accounts_ok($h, $mpm);

    # When there is something to deliver at the end.
    get($h->url('/'));
    ok($h->stop, "$mpm: stops");
    cmp_ok(scalar events($mpm, 'stop'), '<=', 1, "$mpm: ended once at most");
    is(scalar events($mpm, 'child_killed'), scalar @killed,
        "$mpm: nobody was killed to end");
    is_deeply([grep { !/exit signal Aborted/ } $h->complaints], [],
        "$mpm: no complaints");
}

# Off.
{
    my $h = httpd(module => 1, influx => $db,
        conf => "InfluxMetricsDatabase none\nInfluxMetricsReport none");
    get($h->url('/'));
    wait_until(20, sub { $db->count('raw-requests', 'none') });
    $h->stop;
    is_deeply([map { $_->{name} } $db->query('SHOW MEASUREMENTS', 'none')],
        ['raw-requests'], 'InfluxMetricsReport none');
}

finish();

# A query that does not come back: it delays no delivery, no other query, no
# stop and no graceful restart, on any MPM; and whoever is the holder next asks
# again for the same time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxDatabase;
use ImxStandin;
use ImxTest;
use Test::More;
use Time::HiRes qw(time);

my $pg = ImxDatabase::postgres();
my $standin = ImxStandin->new;

sub asleep {
    return $pg->value(q{SELECT count(*) FROM pg_stat_activity WHERE state = }
        . q{'active' AND query LIKE 'SELECT 1 AS%' AND pid <> }
        . 'pg_backend_pid()');
}

sub query {
    my ($name, $interval, $seconds) = @_;
    return qq{InfluxMetricsQuery $name $interval "SELECT 1 AS \\"int:n\\", }
        . qq{pg_sleep($seconds)::text AS \\"str:slept\\""\n};
}

for my $mpm (qw(event worker prefork)) {
    my $before = () = $standin->lines;
    my $deliveries = () = $standin->requests;
    my $begin = time;
    my $h = httpd(mpm => $mpm, module => 1, influx => $standin, figures => 1,
        modules => ['dbd'],
        ($mpm eq 'prefork' ? (children => 6) : (children => 2, threads => 8)),
        conf => "InfluxMetricsInterval 200ms\nBufferedLogs On\n" . $pg->conf
            . query('hangs', '1s', 60) . query('quick', '1s', 0));
    ok(wait_until(20, sub { asleep() == 1 }), "$mpm: a query is under way");
    my $load = client(port => $h->port, c => 2, rate => 100, seconds => 4);
    my $r = $load->wait;
    ok(wait_until(20, sub {
        my $s = figures($h);
        $s->{queries_run} >= 3 && $s->{queries_failed} >= 3
    }), "$mpm: others run, its next ones are left out");
    is(asleep(), 1, "$mpm: it is not asked twice");
    # On a busy machine the quick one can take a second, too.
    cmp_ok(figures($h)->{queries_failed}, '<=', 2 * (time - $begin) + 1,
        "$mpm: each of its times is counted once");
    is(scalar(grep { /IMX0063: .*"hangs" takes longer than its interval, 1 s/ }
        $h->error_log), 1, "$mpm: that is said once");

    # How old a point was when its delivery arrived.
    my @lines = ($standin->lines)[$before .. $standin->copies - 1];
    my @age;
    for my $delivery (($standin->requests)[$deliveries .. 1e6]) {
        last if !$delivery;
        push @age, map { / (\d+)$/ ? $delivery->{time} - $1 / 1e9 : () }
            grep { /^raw-requests/ } splice @lines, 0, $delivery->{lines};
    }
    @age = sort { $a <=> $b } @age;
    my $p99 = $age[0.99 * @age] // 99;
    note sprintf "%s: %d points, p99 of the age at delivery %.3f s", $mpm,
        scalar @age, $p99;
    cmp_ok($p99, '<', (0.2 + 0.5) * slow(), "$mpm: deliveries are in time");

    $begin = time;
    $h->graceful(gone => 1);
    cmp_ok(time - $begin, '<', 5 * slow(), "$mpm: a graceful restart");
    ok(wait_until(20, sub { asleep() == 2 }), "$mpm: the next holder asks, too");
    my $n = $r->{complete} + client(port => $h->port, c => 2, n => 50)->wait
        ->{complete};
    $begin = time;
    ok($h->stop, "$mpm: httpd stops");
    cmp_ok(time - $begin, '<', 3 * slow(), "$mpm: at once");
    is($h->access_count, $n, "$mpm: clean-ups of other modules have run");
    is(scalar(grep { /^raw-requests/ } ($standin->lines)[$before .. $standin
        ->copies - 1]), $n, "$mpm: all points were delivered");
    is_deeply([grep { !/IMX0063/ } $h->complaints], [],
        "$mpm: the error log is clean");
    $pg->sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE }
        . q{query LIKE 'SELECT 1 AS%' AND pid <> pg_backend_pid()});
}

# The holder is killed while it asks: the next one asks again, for this time.
my $db = influxd();
my $h = httpd(module => 1, influx => $db, figures => 1, children => 3,
    modules => ['dbd'], conf => $pg->conf . query('slow', '1h', 2)
        . query('quick', '1s', 0));
ok(wait_until(20, sub { figures($h)->{queries_run} >= 2 }), 'queries run');

sub times_of { return map { $_->{time} } $db->query("SELECT n FROM $_[0]") }

# In the first minute of an hour 'slow' runs, too.
for (1 .. 3) {
    my $ran = figures($h)->{queries_run};
    ok($h->kill_child(figures($h)->{lease_holder}), 'a holder is killed');
    ok(wait_until(20, sub { figures($h)->{queries_run} > $ran + 1 }),
        'the next one runs them');
}
$h->reconf(conf => $pg->conf . query('again', '30s', 3))->graceful(gone => 1);
ok(wait_until(60, sub { asleep() }), 'a long query is under way');
$h->kill_child(figures($h)->{lease_holder});
ok(wait_until(20, sub { times_of('again') }), 'the next holder writes its points');
is_deeply([grep { $_ % 30_000_000_000 } times_of('again')], [],
    'with the time of the interval');
my %seen;
$seen{$_}++ for times_of('quick');
is_deeply([grep { $_ % 1_000_000_000 } keys %seen], [], 'as all others');
ok($h->stop, 'it stops');
# What is asked once more can still run when its next time comes.
is_deeply([grep { !/IMX0063: the query for "again"/ } $h->complaints], [],
    'the error log is clean') if !grep { /exit signal Killed/ } $h->complaints;

# httpd -X is parent and child in one process.
$h = httpd(module => 1, influx => $db, modules => ['dbd'], start => 0,
    conf => $pg->conf . query('one', '1s', 60));
$h->start('-X');
ok(wait_until(20, sub { asleep() >= 1 }), '-X: a query is under way');
my $begin = time;
ok($h->stop, '-X: it stops');
cmp_ok(time - $begin, '<', 3 * slow(), '-X: at once');
is_deeply([grep { /IMX00(?!63)|signal/ } $h->complaints], [],
    '-X: the error log is clean');

finish();

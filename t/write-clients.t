# InfluxDB's own clients, Telegraf and curl write to httpd with nothing but
# another address, while InfluxDB is away, httpd is restarted and the child that
# delivers is killed: every point is stored, none twice.
# IMX_POINTS: points of each client (10000); IMX_AWAY: seconds (4).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxEngines;
use ImxTest;
use POSIX ();
use Test::More;

my $n = $ENV{IMX_POINTS} // 10_000;
my $away = $ENV{IMX_AWAY} // 4;
my $start = 1763961600_000_000_000;

# A client writes N points of a measurement in pieces of 500.  What it does not
# do again by itself when a connection breaks, this does, as an application
# would.
my $python = <<'PYTHON';
import sys, time

which, port, name, n = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
start, piece = int(sys.argv[5]), 500

def patiently(write):
    for tries in range(200):
        try:
            return write()
        except Exception as problem:
            print(which, repr(problem)[:200], file=sys.stderr)
            time.sleep(0.1)
    sys.exit(1)

def lines(i):
    return ['%s,k=%d f=%di,g="a \\"b\\"" %d' % (name, k % 7, k, start + k)
            for k in range(i, min(i + piece, n))]

if which == 'v1':
    import influxdb
    c = influxdb.InfluxDBClient('127.0.0.1', port, 'any', 'any', 'any',
                                path='influx', gzip=True)
    assert c.ping().startswith('mod_influx_metrics')
    c.create_database('any')
    for i in range(0, n, piece):
        points = [{'measurement': name, 'tags': {'k': k % 7},
                   'time': start + k, 'fields': {'f': k, 'g': 'a "b"'}}
                  for k in range(i, min(i + piece, n))]
        patiently(lambda: c.write_points(points))
elif which == 'v2':
    import influxdb_client
    from influxdb_client import Point, WriteOptions
    c = influxdb_client.InfluxDBClient('http://127.0.0.1:%d/influx' % port,
                                       'any', org='any', enable_gzip=True)
    assert c.health().status == 'pass' and c.ping()
    failed = []
    with c.write_api(write_options=WriteOptions(
            batch_size=piece, flush_interval=200, retry_interval=500,
            max_retries=30, max_retry_delay=2000, exponential_base=1),
            error_callback=lambda *a: failed.append(a)) as api:
        for k in range(n):
            api.write('any', 'any', Point(name).tag('k', k % 7)
                      .field('f', k).field('g', 'a "b"').time(start + k))
    sys.exit(len(failed) > 0)
else:
    from influxdb_client_3 import InfluxDBClient3, Point, write_client_options
    from influxdb_client_3 import SYNCHRONOUS, WriteOptions
    new = which == 'v3'
    c = InfluxDBClient3('http://127.0.0.1:%d' % port, database='any',
                        token='any', write_client_options=write_client_options(
                            write_options=WriteOptions(
                                write_type=SYNCHRONOUS.write_type,
                                no_sync=new, use_v2_api=not new)))
    for i in range(0, n, piece):
        patiently(lambda: c.write([Point(name).tag('k', k % 7).field('f', k)
            .field('g', 'a "b"').time(start + k)
            for k in range(i, min(i + piece, n))]))
PYTHON

chomp(my $python3 = qx(sh @{[top()]}/tools/build-clients.sh influx));
my $no_python = $? == 0 ? '' : $python3;
# As `make test` gets no engines: where there was once `make test-engines`.
my ($telegraf, $no_telegraf) = engine('telegraf');
my $curl = which_one('curl') or die 'no curl';

my $endpoint = <<'CONF';
<Location /influx>
SetHandler influx-metrics-write
Require local
</Location>
CONF
my $db = influxd();
my $h = httpd(module => 1, influx => $db, figures => 1, children => 2,
    threads => 16, modules => ['authz_host'], conf => $endpoint,
    # InfluxDBClient3 keeps host and port of its address, and no path.
    vhosts => ['v3.test' => $endpoint =~ s{ /influx}{ /}r]);
spew(work_dir() . '/client.py', $python);

# pid of a program; its output goes to a file of its own.
my %running;

sub run {
    my ($name, @command) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', work_dir() . "/$name.out" or die $!;
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    $running{$pid} = $name;
}

sub wait_for_all {
    for my $pid (sort keys %running) {
        waitpid $pid, 0;
        my $name = delete $running{$pid};
        is($?, 0, "$name is done") or diag slurp(work_dir() . "/$name.out");
    }
}

END { kill KILL => keys %running }

# Telegraf takes the points by a listener of its own, and has two outputs.
my $t;

sub start_telegraf {
    my ($prefix) = @_;
    my $url = $h->url('/influx');
    $t = telegraf(conf => <<"TOML");
[[outputs.influxdb]]
urls = ["$url"]
name_prefix = "${prefix}t1_"
[[outputs.influxdb_v2]]
urls = ["$url"]
bucket = "any"
organization = "any"
token = "any"
name_prefix = "${prefix}t2_"
TOML
}

sub lines {
    my ($name, $from, $to) = @_;
    return join '', map {
        "$name,k=" . $_ % 7 . " f=${_}i,g=\"a \\\"b\\\"\" " . ($start + $_) . "\n"
    } $from .. $to;
}

# Starts all clients; returns the measurements that they write.
sub start_all {
    my ($prefix, $count) = @_;
    my @names;
    for my $which ($no_python ? () : qw(v1 v2 v3 v3-v2)) {
        push @names, my $name = "$prefix$which";
        my $port = $h->port($which =~ /^v3/ ? 'v3.test' : undef);
        run($name, $python3, work_dir() . '/client.py', $which, $port, $name,
            $count, $start);
    }
    push @names, my $name = "${prefix}curl";
    my $script = '';
    for (my $i = 0; $i < $count; $i += 500) {
        my $file = work_dir() . "/$name-$i";
        my $last = $i + 499 < $count ? $i + 499 : $count - 1;
        spew($file, lines($name, $i, $last));
        $script .= "$curl -sSf --retry 100 --retry-delay 1 --retry-all-errors "
            . "--data-binary \@$file @{[ $h->url('/influx/write') ]} || exit 1\n";
    }
    run($name, 'sh', '-c', $script);
    if ($telegraf) {
        start_telegraf($prefix);
        push @names, "${prefix}t1_m", "${prefix}t2_m";
        for (my $i = 0; $i < $count; $i += 1000) {
            my $last = $i + 999 < $count ? $i + 999 : $count - 1;
            my $r = http('POST', $t->url('/api/v2/write?bucket=any'),
                { content => lines('m', $i, $last) });
            is($r->{status}, 204, 'Telegraf has them') if $r->{status} != 204;
        }
    }
    return @names;
}

sub all_are_there {
    my ($count, @names) = @_;
    for my $name (@names) {
        my $there;
        wait_until(60, sub {
            $there = $db->count($name, 'httpd', 'f');
            return $there == $count;
        });
        is($there, $count, "$name: $count points");
        my ($row) = $db->query(qq{SELECT sum(f) AS f FROM "$name"}, 'httpd');
        is($row->{f}, $count * ($count - 1) / 2, "$name: the right ones");
    }
}

SKIP: {
    skip $no_python, 1 if $no_python;
    pass('InfluxDB\'s Python clients');
}
SKIP: {
    skip $no_telegraf, 1 if !$telegraf;
    pass('Telegraf');
}

# ---- nothing happens: each point is taken exactly once ----

my @names = start_all('calm-', 1000);
wait_for_all();
all_are_there(1000, @names);
figures_are($h, { points_taken => 1000 * @names,
    points_recorded => 1000 * @names, bodies_refused => 0,
    points_sent => 1000 * @names }, 'each was taken and sent once');

# ---- everything happens ----

@names = start_all('storm-', $n);
ok(wait_until(20, sub { figures($h)->{points_taken} > 2000 * @names }),
    'they write');
$db->stop;
my $gone = time;
ok(wait_until(20, sub { figures($h)->{points_taken} > 3000 * @names }),
    'and go on when InfluxDB is away');
$h->graceful;
ok(wait_until(20, sub { (status($h) // {})->{lease_holder} }),
    'httpd is restarted, and a child delivers');
my $holder;     # one of before the restart may have just left
ok(wait_until(20, sub {
    $holder = (status($h) // {})->{lease_holder};
    return $holder && $h->kill_child($holder);
}), 'that child is killed');
ok(wait_until(30, sub {
    my $now = (status($h) // {})->{lease_holder} // 0;
    return $now && $now != $holder;
}), 'and another one takes over');
wait_until($away, sub { time - $gone >= $away });
$db->start;
wait_for_all();
all_are_there($n, @names);
my $s;
wait_until(20, sub { ($s = figures($h))->{points_pending} == 0 });
accounts_ok($h, 'afterwards');
cmp_ok($s->{points_recorded}, '>=', $s->{points_taken},
    'what was taken is recorded');
is($s->{points_dropped} - $s->{dropped_torn}, 0, 'nothing was given up');
note "taken $s->{points_taken}, torn $s->{dropped_torn}, repeated "
    . $s->{points_repeated};
is_deeply([grep { !/AH00052: child pid $holder exit signal Killed/
    && !/IMX00(?:20|21|26)/ } $h->complaints], [], 'no other complaint');
finish();

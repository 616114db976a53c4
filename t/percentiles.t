# Percentiles as the manual asks for them, in InfluxQL, Flux and SQL, against the
# exact ones out of the points of the requests: of one server, of two, and of two
# hosts together; lognormal times and two hills, from 100 us to 10 s.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxSql;
use ImxTest;
use JSON::PP ();
use List::Util qw(max min);
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my %share = (p50 => 0.5, p95 => 0.95, p99 => 0.99, 'p99.9' => 0.999);
my ($each, $clients) = (1200, 24);
my $tau = 6.283185307179586;

my ($program, $why) = influxd2_program();
my $db = $program ? influxd2() : influxd();

# ---- requests that take so long ----

my $lua = <<'LUA';
require 'apache2'
function handle(r)
    r.usleep(tonumber(r.args))
    r.content_type = 'text/plain'
    r:puts('slept\n')
    return apache2.OK
end
LUA

# Microseconds.
sub draw {
    my ($is_bimodal) = @_;
    my $normal = sqrt(-2 * log(1 - rand)) * cos($tau * rand);
    my $us = $is_bimodal
        ? (rand() < 0.03 ? 1_500_000 : 900) * exp(0.3 * $normal)
        : 3_000 * exp(1.6 * $normal);
    return int max(100, min(10_000_000, $us));
}

sub client_of {
    my ($h, $vhost, $seed) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    srand $seed;
    my $url = $h->url('/sleep?', $vhost);
    # One client asks for the shortest and for the longest, too.
    my @us = $seed % 1000 ? () : (100, 10_000_000);
    push @us, draw(defined $vhost) for 1 .. $each / $clients - @us;
    get($url . $_) for @us;
    POSIX::_exit(0);
}

# The name of another host needs a name space of its own.
my @elsewhere = ('unshare', '--uts', 'sh', '-c',
    'hostname web2 && exec "$@"', 'sh');
my $has_two = !$> && !system 'unshare --uts hostname web2 2>/dev/null';

sub server {
    my (%o) = @_;
    my $h = httpd(module => 1, influx => $db, modules => ['lua'], start => 0,
        report => 'none requests=1h buckets=1h', threads => $clients,
        vhosts => ['bimodal.test' => ''], %o);
    my $to = $program ? "InfluxMetricsBucket \"$db->{org}\" httpd\n"
        . 'InfluxMetricsTokenFile ' . $h->secret('token', $db->token . "\n")
        : '';
    $h->put('sleep.lua', $lua);
    $h->reconf(conf => "LuaScope thread\nLuaMapHandler ^/sleep "
        . $h->dir . "/sleep.lua handle\nInfluxMetricsFields +server_time\n"
        . "$to\n");
    return $h->start;
}

nap(30) if time % 3600 > 3560;  # all of it is one interval of an hour
my @servers = (server(), $has_two ? server(through => \@elsewhere) : ());
{
    my @pids;
    for my $n (0 .. $#servers) {
        for my $i (0 .. $clients - 1) {
            push @pids, map { client_of($servers[$n], $_, 1000 * $n + $i) }
                undef, 'bimodal.test';
        }
    }
    waitpid $_, 0 for @pids;
}
ok($_->stop, 'stops in the middle of an interval') for @servers;

# ---- what is exact, and what is asked for ----

my @points = $db->query('SELECT "request_time", "server", "hostname" FROM '
    . '"raw-requests"');
is(scalar @points, 2 * $each * @servers, 'a point of each request');
is(scalar(keys %{ { map { $_->{hostname} => 1 } @points } }), scalar @servers,
    'of ' . @servers . ' hosts');

sub exact {
    my ($q, %of) = @_;
    my @sorted = sort { $a <=> $b } map { $_->{request_time} } grep {
        my $p = $_;
        !grep { $p->{$_} ne $of{$_} } keys %of;
    } @points;
    my $rank = POSIX::ceil($q * @sorted - 1e-9);
    return $sorted[$rank - 1];
}

# The query in the manual behind this heading or word.
my $manual = slurp(top() . '/docs/measurements.md');

sub from_manual {
    my ($begin) = @_;
    my ($query) = $manual =~ /^    (\Q$begin\E.*?)\n\n/ms
        or die "the manual has no query that begins with $begin";
    return $query;
}

# In place of what Grafana puts in.
sub influxql {
    my ($q, %of) = @_;
    my $where = join '', map { qq{ AND "$_"='$of{$_}'} } sort keys %of;
    my $query = from_manual('SELECT min("upper")*0.9567');
    $query =~ s/WHERE \$timeFilter\s+AND/WHERE/g;
    $query =~ s/"phase"='request'/"phase"='request'$where/;
    $query =~ s/time\(\$__interval\), //;
    $query =~ s/ GROUP BY time\(\$__interval\)$//;
    $query =~ s/>=0\.99/>=$q/;
    my ($row) = $db->query($query);
    return (grep { defined && !/^raw|request-buckets/ } map { $row->{$_} }
        grep { !/^(?:_name|time)$/ } keys %$row)[0];
}

sub flux {
    my ($q, %of) = @_;
    my $where = join '', map { qq{ and r.$_ == "$of{$_}"} } sort keys %of;
    my $query = from_manual('from(bucket');
    $query =~ s/"my-bucket"/"httpd"/;
    $query =~ s/r\.phase == "request"/r.phase == "request"$where/;
    $query =~ s/quantile: 0\.99/quantile: $q/;
    my ($row) = $db->flux($query);
    return $row && $row->{_value};
}

sub sql {
    my ($engine, $q, @rows) = @_;
    my $query = from_manual('SELECT MIN(upper)');
    $query =~ s/>= 0\.99/>= $q/;
    return ImxSql::ask($engine, 'request-buckets', { upper => 'float',
        map { ($_ => 'integer') } qw(below total count) }, \@rows, $query);
}

my %worst;

sub near_ok {
    my ($language, $got, $exact, $bound, $name) = @_;
    my $error = ($got // 0) / $exact - 1;
    my $worst = \$worst{$language};
    $$worst = $error if !defined $$worst || abs $error > abs $$worst;
    # Points have whole microseconds.
    ok(abs($error) <= $bound + 1e-6 / $exact, sprintf
        '%s: %s: %.6f, exactly %.6f', $language, $name, $got // -1, $exact);
}

my @cases = (['one server' => server => 'imx.test'],
    ['one server, two hills' => server => 'bimodal.test'], ['all']);
splice @cases, 2, 0, ['one host' => hostname => 'web2'] if @servers > 1;

my @rows = $db->query('SELECT "below", "total", "upper", "count", "server", '
    . '"hostname", "phase", "le" FROM "request-buckets"');
delete $_->{_name} for @rows;
my @engines = ImxSql::engines();

for my $case (@cases) {
    my ($what, %of) = @$case;
    my @of = grep {
        my $row = $_;
        !grep { $row->{$_} ne $of{$_} } keys %of;
    } @rows;
    for my $p (sort keys %share) {
        my $exact = exact($share{$p}, %of);
        near_ok('InfluxQL', influxql($share{$p}, %of), $exact, 0.044,
            "$what: $p");
        near_ok('Flux', flux($share{$p}, %of), $exact, 0.091, "$what: $p")
            if $program;
        near_ok($_, sql($_, $share{$p}, @of), $exact, 0.044, "$what: $p")
            for @engines;
    }
}
diag sprintf '%s: %+.1f %% at most', $_, 100 * $worst{$_} for sort keys %worst;
SKIP: { skip "no Flux: $why", 1 if !$program; pass('Flux was asked') }
SKIP: { skip 'no SQL: python3 has no sqlite3', 1 if !@engines;
    pass("SQL was asked: @engines") }
SKIP: { skip 'only root can be another host', 1 if !$has_two;
    pass('two hosts') }

finish();

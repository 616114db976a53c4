# Intervals: each request is in exactly one of them, whoever is killed, through
# graceful restarts and the stop; percentiles out of InfluxDB are what the points
# of the requests say; what the directives say is heeded.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxMeasured;
use ImxTest;
use JSON::PP ();
use List::Util qw(max min sum0);
use Test::More;
use Time::HiRes qw(time);

my $times = $ENV{IMX_TIMES} || 4;
my $db = influxd();

# The sum of a field by server and route, "" where there is no such tag.
sub sums {
    my ($base, $measurement, $field) = @_;
    my @rows = eval {
        $db->query(qq{SELECT sum("$field") AS n FROM "$measurement" }
            . 'GROUP BY "server", "route"', $base);
    };
    return { map { ("$_->{server} $_->{route}" => $_->{n}) } @rows };
}

# Those of request-metrics and request-buckets, which must be the same.
sub sums_are {
    my ($base, $expected, $name) = @_;
    is_deeply(sums($base, 'request-metrics', 'request_count'), $expected,
        "$name: the sum of request_count");
    is_deeply(sums($base, 'request-buckets', 'count'), $expected,
        "$name: the sum of the buckets");
}

sub requests {
    my ($h, $vhost, $n, %o) = @_;
    my $r = client(port => $h->port($vhost), n => $n, c => 4,
        timeout => 10, %o)->wait;
    return $r->{complete};
}

# Requests of three kinds; then no request is under way.
sub some_requests {
    my ($h, $n) = @_;
    $n->{'imx.test '} += requests($h, undef, 60);
    $n->{'routes.test shop'} += requests($h, 'routes.test', 20,
        path => '/shop.html');
    $n->{'routes.test unmatched'} += requests($h, 'routes.test', 7);
    $n->{"$_ "} += requests($h, $_, 30) for 'sample.test', 'none.test';
    return;
}

# At any moment of a second, also while lines are written.
sub kill_holder {
    my ($h) = @_;
    nap(rand);
    return wait_until(30, sub {
        my $s = status($h);
        my ($pid) = grep { $s && $_ == $s->{lease_holder} } $h->children;
        return $pid && $h->kill_child($pid);
    });
}

# One that does not deliver, and does nothing.
sub kill_other {
    my ($h) = @_;
    my $holder = (status($h) // {})->{lease_holder} // 0;
    my ($pid) = grep { $_ != $holder } $h->children;
    $h->kill_child($pid) if $pid;
}

# ---- nothing is lost, nothing doubled ----

for my $mpm (qw(event worker prefork)) {
    $db->query("CREATE DATABASE $mpm");
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        report => 'none requests=1s buckets=1s self=1s',
        ($mpm eq 'prefork' ? (children => 6) : (children => 3, threads => 8)),
        conf => "InfluxMetricsDatabase $mpm\n",
        vhosts => [
            'routes.test' => 'InfluxMetricsRoute shop ^/shop',
            'sample.test' => 'InfluxMetricsSample 0.1',
            'none.test' => 'InfluxMetricsSample 0'
        ]);
    $h->put('htdocs/shop.html', "shop\n");
    my ($kills, %n) = (0);
    for my $round (1 .. $times) {
        some_requests($h, \%n);
        $kills++ if kill_holder($h);
        kill_other($h);
        wait_until(20, sub { get($h->url('/', 'figures'))->{success} });
        some_requests($h, \%n);
        # httpd may leave an old child behind when one was killed just before.
        $h->graceful if $round % 2;
    }
    is($kills, $times, "$mpm: $kills holders were killed");
    ok(wait_until(20, sub {
        my $is = sums($mpm, 'request-metrics', 'request_count');
        return !grep { ($is->{$_} // 0) != $n{$_} } keys %n;
    }), "$mpm: all requests are in intervals before the stop");
    some_requests($h, \%n);
    ok($h->stop, "$mpm: stops");
    is(sum0(values %n), $h->access_count, "$mpm: the access log has them");
    sums_are($mpm, \%n, $mpm);
    cmp_ok($db->count('raw-requests', $mpm), '<', sum0(values %n),
        "$mpm: though not each has a point");
    my ($spans) = $db->query('SELECT min("interval"), max("interval") FROM '
        . '"request-metrics"', $mpm);
    cmp_ok($spans->{min}, '>', 0, "$mpm: an interval has a length");
    my ($self) = $db->query('SELECT sum("requests_counted"), '
        . 'max("buffer_size") FROM "influx-metrics"', $mpm);
    ok($self->{max} > 0, "$mpm: the module writes its own figures");
}

# A child is killed in the middle of requests: only what it was just counting can
# be missing.
{
    $db->query('CREATE DATABASE killed');
    my $h = httpd(module => 1, influx => $db, figures => 1, children => 4,
        threads => 8, report => 'none requests=1s buckets=1s',
        conf => "InfluxMetricsDatabase killed\n");
    my $load = client(port => $h->port, c => 8, seconds => 8, rate => 200);
    my $kills = 0;
    for (1 .. 5) {
        nap(1);
        my ($pid) = $h->children;
        $kills += $h->kill_child($pid) if $pid;
    }
    $load->wait;
    ok($h->stop, 'stops');
    my $metrics = sums('killed', 'request-metrics', 'request_count');
    my $buckets = sums('killed', 'request-buckets', 'count');
    is_deeply($metrics, $buckets, 'children killed: both sums are one');
    my $difference = $h->access_count - ($metrics->{'imx.test '} // 0);
    cmp_ok(abs $difference, '<=', 8 * $kills,
        "children killed: access log - sum = $difference, $kills kills");
}

# ---- percentiles ----

my $lua = <<'LUA';
require 'apache2'
function handle(r)
    r.usleep(tonumber(r.args))
    r.content_type = 'text/plain'
    r:puts('slept\n')
    return apache2.OK
end
LUA

my $tau = 6.283185307179586;

# Microseconds: lognormal, or two hills, from 100 us to 2 s.
sub draw {
    my ($is_bimodal) = @_;
    my $normal = sqrt(-2 * log(1 - rand)) * cos($tau * rand);
    my $us = $is_bimodal
        ? (rand() < 0.2 ? 120_000 : 900) * exp(0.3 * $normal)
        : 3_000 * exp(1.3 * $normal);
    return int max(100, min(2_000_000, $us));
}

sub exact {
    my ($q, @sorted) = @_;
    my $rank = int($q * @sorted);
    $rank++ if $rank < $q * @sorted - 1e-9;
    return $sorted[$rank - 1];
}

sub is_near {
    my ($got, $exact, $name) = @_;
    # Points have whole microseconds.
    my $bound = 0.044 * $exact + 1e-6;
    return ok(defined $got && abs($got - $exact) <= $bound, sprintf
        '%s: %.6f, exactly %.6f', $name, $got // -1, $exact);
}

# The manual's way to ask; times 0.9567, as it gives the upper bound of a row.
sub from_buckets {
    my ($q, $where) = @_;
    my ($row) = $db->query(qq{SELECT min("upper") AS "upper" FROM (}
        . 'SELECT sum("below")*1.0/sum("total") AS "share", max("upper") AS '
        . qq{"upper" FROM "request-buckets" WHERE "phase"='request' $where }
        . qq{GROUP BY "le") WHERE "share">=$q}, 'percentiles');
    return $row && 0.9567 * $row->{upper};
}

{
    nap(30) if time % 3600 > 3570;  # all of it is one interval of an hour
    $db->query('CREATE DATABASE percentiles');
    my $h = httpd(module => 1, influx => $db, modules => ['lua'],
        report => 'none requests=1h buckets=1h self=1h', threads => 16,
        conf => sub { <<"CONF" }, vhosts => ['bimodal.test' => '']);
InfluxMetricsDatabase percentiles
InfluxMetricsBuckets 8 request application
LuaMapHandler ^/sleep @{[ $_[0]->put('sleep.lua', $lua) ]} handle
CONF
    my @loads;
    for my $i (0 .. 15) {
        my $pid = fork // die "fork: $!";
        if ($pid == 0) {
            srand(1000 + $i);
            my $url = $h->url('/sleep?', $i % 2 ? 'bimodal.test' : undef);
            get($url . draw($i % 2)) for 1 .. 125;
            POSIX::_exit(0);
        }
        push @loads, $pid;
    }
    waitpid $_, 0 for @loads;
    ok($h->stop, 'stops in the middle of an interval');
    my %times;
    for my $row ($db->query('SELECT request_time FROM "raw-requests" '
        . 'GROUP BY "server"', 'percentiles')) {
        push @{ $times{$_} }, $row->{request_time} for $row->{server}, 'both';
    }
    @$_ = sort { $a <=> $b } @$_ for values %times;
    is(scalar @{ $times{both} // [] }, 2000, 'there are 2,000 points');
    my %metrics = map { ($_->{server} => $_) }
        $db->query('SELECT * FROM "request-metrics"', 'percentiles');
    for my $server ('imx.test', 'bimodal.test', 'both') {
        my $where = $server eq 'both' ? '' : qq{AND "server"='$server'};
        for my $p ([50, 0.5], [95, 0.95], [99, 0.99], [999, 0.999]) {
            my $exact = exact($p->[1], @{ $times{$server} });
            is_near(from_buckets($p->[1], $where), $exact,
                "$server: p$p->[0] by InfluxQL");
            is_near($metrics{$server}{"request_time_p$p->[0]"}, $exact,
                "$server: request_time_p$p->[0]") if $server ne 'both';
        }
        next if $server eq 'both';
        my $m = $metrics{$server};
        cmp_ok(abs($m->{request_time_max} - $times{$server}[-1]), '<', 2e-6,
            "$server: request_time_max");
        my $sum = sum0(@{ $times{$server} });
        cmp_ok(abs($m->{request_time_sum} - $sum), '<', 0.002,
            "$server: request_time_sum");
        is($m->{status_2xx}, 1000, "$server: status_2xx");
        is($m->{bytes_sent}, 6000, "$server: bytes_sent");
        cmp_ok(abs($m->{request_throughput} * $m->{interval} - 1000), '<', 0.01,
            "$server: request_throughput and interval");
    }
    my @rows = $db->query('SELECT "le", "below", "count", "total", "upper" '
        . q{FROM "request-buckets" WHERE "server"='bimodal.test' AND }
        . q{"phase"='application'}, 'percentiles');
    @rows = sort { $a->{upper} <=> $b->{upper} } @rows;
    is(scalar @rows, 154, 'a histogram has 154 rows');
    is($rows[0]{le}, '000.000061', 'the first');
    is_deeply([@{ $rows[-1] }{qw(le below total upper)}],
        ['+Inf', 1000, 1000, 1e9], 'and the last one');
    is((grep { $_->{le} eq '000.500000' } @rows)[0]{upper}, 0.5,
        'half a second is a bound');
    my ($below, $wrong) = (0, 0);
    for my $row (@rows) {
        $below += $row->{count};
        $wrong++ if $row->{below} != $below;
    }
    is($wrong, 0, 'below is the sum of the counts up to a row');
}

# ---- the manual ----

manual_ok($db, $_, 'event')
    for qw(request-metrics request-buckets influx-metrics);

# ---- the directives ----

{
    my $h = httpd(module => 1, influx => $db, start => 0);
    for my $case (
        ['InfluxMetricsReport none', 1],
        ['InfluxMetricsReport requests=1s buckets=5min workers slow=off', 1],
        ['InfluxMetricsReport none requests=1h events', 1],
        ['InfluxMetricsReport events=off', 1],
        ['InfluxMetricsReport none requests phases', 1],
        ['InfluxMetricsReport phases=off', 1],
        ['InfluxMetricsReport phases=1s', 0],
        ['InfluxMetricsBuckets 4', 1],
        ['InfluxMetricsBuckets 8 request application', 1],
        ['InfluxMetricsBuckets off', 1],
        ['InfluxMetricsReport', 0],
        ['InfluxMetricsReport request=1s', 0],
        ['InfluxMetricsReport requests=0', 0],
        ['InfluxMetricsReport requests=500ms', 0],
        ['InfluxMetricsReport requests=1500ms', 0],
        ['InfluxMetricsReport requests=2h', 0],
        ['InfluxMetricsReport requests=', 0],
        ['InfluxMetricsReport events=10s', 0],
        ['InfluxMetricsBuckets', 0],
        ['InfluxMetricsBuckets 3', 0],
        ['InfluxMetricsBuckets off request', 0],
        ['InfluxMetricsBuckets 8 input', 0],
    ) {
        my ($line, $ok) = @$case;
        $h->reconf(conf => "$line\n");
        my ($is_ok, $text) = $h->configtest;
        is(!!$is_ok, !!$ok, "$line: " . ($ok ? 'allowed' : 'refused'));
        like($text, qr/^InfluxMetrics(?:Report|Buckets)[: ]/m,
            "$line: in a sentence of its own") if !$ok;
    }
    $h->reconf(conf => '', vhosts => []);
}

finish();

# A real Prometheus asks for the figures while requests come in, httpd is
# restarted gracefully and the child that delivers is killed: each scrape works,
# no counter falls, and in the end it has every request.  It is configured as
# docs/status-page.md says.
# IMX_TIMES: graceful restarts (4), IMX_SECONDS: how long at least (16).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxPrometheus;
use ImxTest;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'prometheus is not installed' if !which_one('prometheus');

my $times = $ENV{IMX_TIMES} // 4;
my $seconds = $ENV{IMX_SECONDS} // 16;
my @hosts = qw(a.test b.test);

# The page's blocks: where it is, who asks for it, and the other names.
my $manual = slurp(top() . '/docs/status-page.md');
my ($location) = $manual =~ /^( {4}<Location .*? {4}<\/Location>\n)/ms;
my ($job) = $manual =~ /^ {4}scrape_configs:\n((?: {6}.*\n)+)/m;
my ($compat) = $manual =~ /^ {4}(params: .*compat.*)$/m;

my $h = httpd(module => 1, figures => 1, influx => influxd(),
    children => 3, threads => 8, report => 'processes=1s',
    modules => ['authz_host'], vhosts => [map { ($_ => '') } @hosts],
    conf => "InfluxMetricsFields +trace_id\nInfluxMetricsBuckets 8 request "
        . "application\n$location");

# The page's job with another target, and perhaps another name and parameters.
sub job {
    my ($name, $params) = @_;
    my $yaml = $job =~ s/^ {4}//gmr;
    $yaml =~ s/(?<=\[')[\w.-]+(?='\] \}\])/'127.0.0.1:' . $h->port/e
        && $yaml =~ s/(?<=job_name: )httpd$/$name/m
        && $yaml =~ s/params: .*/$params \/\/ $&/e or die "another job: $job";
    return $yaml;
}

my $p = ImxPrometheus->new(every => 2, jobs => job('httpd')
    . job('all', q(params: { openmetrics: [''], buckets: ['8'] }))
    . job('compat', $compat));

my $begin = time;
my $load = client(port => $h->port, c => 2, rate => 50, timeout => 60,
    seconds => $seconds + 4);
my @others = map { client(port => $h->port($_), c => 2, rate => 20,
    timeout => 60, seconds => $seconds + 4) } @hosts;
# A restart each so often; half way the holder is killed.
for my $i (1 .. $times) {
    wait_until(120, sub { time - $begin >= $seconds * $i / ($times + 1) });
    if ($i == int($times / 2) + 1) {
        my $holder = figures($h)->{lease_holder};
        $h->kill_child($holder) if $holder;
    }
    $h->graceful;
}
my $n = 0;
$n += $_->wait->{complete} for $load, @others;
cmp_ok($n, '>', 100, "$n requests in " . int(time - $begin) . ' s');
# Of the child that was killed the last ones may be in the one and not in the
# other.
my $counted = figures($h)->{requests_counted};
cmp_ok(abs($counted - $n), '<=', 4, "$counted of them are counted");
my $seen;
ok(wait_until(60, sub {
    ($seen) = map { $_->{value} }
        $p->query('sum(httpd_requests_total{job="httpd"})');
    defined $seen && $seen == $counted;
}), 'Prometheus has every one of these') or diag "it has $seen";
my $span = int(time - $begin + 10) . 's';

# What it says of the time of the test.
sub is_so {
    my ($query, $expected, $name) = @_;
    my @r = $p->query($query);
    is(scalar @r, $expected, $name) or diag explain \@r;
}

my ($scrapes) = $p->query("count_over_time(up{job=\"httpd\"}[$span])");
cmp_ok($scrapes->{value}, '>=', $seconds / 4, "$scrapes->{value} scrapes");
is_so("min_over_time(up[$span]) == 1", 3, 'each of them worked');
is_deeply([map { $_->{error} } $p->targets], ['', '', ''], 'no error');
my $counters = '{__name__=~"(httpd|influx_metrics|apache)_.*'
    . '_(total|bucket|sum|count)"}';
my ($series, %fallen) = 0;
for my $r ($p->query("count by (__name__) ($counters)")) {
    my $name = $r->{labels}{__name__};
    $series += $r->{value};
    my @r = $p->query("resets($name\[$span]) > 0");
    $fallen{$name} = \@r if @r;
}
cmp_ok($series, '>=', 300, "$series counters");
is_deeply(\%fallen, {}, 'none of them has fallen') or diag explain \%fallen;
is_so("changes(httpd_requests_created[$span]) > 0", 0,
    'and none has begun anew');
for my $job (qw(httpd all)) {
    my $q = "{job=\"$job\"";
    is_so("httpd_request_duration_seconds_bucket$q,le=\"+Inf\"} "
        . "!= ignoring(le) httpd_request_duration_seconds_count$q}", 0,
        "$job: all buckets are the requests");
    is_so("sum by (server) (httpd_requests_total$q}) != sum by (server) "
        . "(httpd_request_duration_seconds_count$q})", 0,
        "$job: and so are the classes of status");
    is_so("sum by (server) (httpd_requests_total$q})", 3,
        "$job: of each host");
}
my ($p99) = $p->query('histogram_quantile(0.99, sum by (le) (rate('
    . "httpd_request_duration_seconds_bucket{job=\"httpd\"}[$span])))");
cmp_ok($p99->{value}, '>', 0, "p99: $p99->{value} s");
ok($h->stop, 'stops');
finish();

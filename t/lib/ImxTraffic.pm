package ImxTraffic;
#
# An httpd with something to show in every panel: three virtual hosts, routes,
# objectives, sampling, errors, slow requests; and its load, in which httpd is
# restarted gracefully and a child is killed.
#
#   use ImxTest; use ImxTraffic;
#
#   my $h = traffic_httpd($db, '1s', conf => "...");   # length of intervals
#   my @loads = traffic_start($h, $seconds, $rate);    # then
#   traffic_upset($h);                                 # ... in the middle of it
#   $_->wait for @loads;
#
use strict;
use warnings;
use Exporter qw(import);
use ImxTest;

our @EXPORT = qw(traffic_httpd traffic_start traffic_upset);

# A lognormal time of work, in microseconds, and errors of each kind.
my $LUA = <<'LUA';
require 'apache2'
function handle(r)
    local normal = math.sqrt(-2 * math.log(1 - math.random()))
        * math.cos(2 * math.pi * math.random())
    if r.uri == '/slow' then
        r.usleep(2500000)
        return apache2.OK
    end
    local typical, share = r.args:match('(%d+),([%d.]+)')
    r.usleep(math.min(900000, typical * math.exp(0.7 * normal)))
    if math.random() < tonumber(share) then
        return 500
    end
    r.content_type = 'text/plain'
    r:puts(string.rep('x', 200 + math.random(4000)))
    return apache2.OK
end
LUA

my %VHOST = (
    'shop.example.org' => <<'CONF',
InfluxMetricsRoute cart ^/cart
InfluxMetricsRoute search ^/search
InfluxMetricsObjective 100ms 99
InfluxMetricsFields +server_time +input_time +output_time +bytes_received
CONF
    'api.example.org' => <<'CONF',
InfluxMetricsObjective 250ms 99.9
InfluxMetricsSample 0.5 slow=200ms errors
CONF
    'static.example.org' => '',
);

# What is asked for: virtual host, path, connections, share of the rate.
my @ASKED = (
    ['shop.example.org', '/cart?9000,0.03', 3, 1],
    ['shop.example.org', '/search?25000,0.01', 3, 1],
    ['shop.example.org', '/', 2, 1],
    ['api.example.org', '/work?40000,0.05', 4, 0.7],
    ['static.example.org', '/', 2, 2],
    ['static.example.org', '/away', 1, 0.3],
    ['shop.example.org', '/slow', 1, 0.02],
);

sub traffic_httpd {
    my ($db, $interval, %o) = @_;
    my $conf = delete $o{conf};
    my $h = httpd(module => 1, influx => $db, children => 3, threads => 8,
        figures => 1, modules => ['lua', 'alias'], start => 0,
        report => join(' ', 'none', 'events', 'slow=1s', map { "$_=$interval" }
            qw(requests buckets processes workers self pressure)),
        vhosts => [map { ($_ => $VHOST{$_}) } sort keys %VHOST], %o);
    $h->put('work.lua', $LUA);
    my $dir = $h->dir;
    $h->reconf(conf => <<"CONF" . (ref $conf ? $conf->($h) : $conf // ''));
LuaScope thread
LuaMapHandler ^/(?:cart|search|work|slow) $dir/work.lua
ErrorDocument 500 "It went wrong."
CONF
    return $h->start;
}

# Rate: requests a second of a connection.
sub traffic_start {
    my ($h, $seconds, $rate) = @_;
    return map {
        my ($vhost, $path, $connections, $share) = @$_;
        client(port => $h->port($vhost), path => $path, c => $connections,
            seconds => $seconds, rate => $rate * $share, timeout => 10);
    } @ASKED;
}

sub traffic_upset {
    my ($h) = @_;
    $h->graceful(gone => 1);
    my $holder = figures($h)->{lease_holder};
    my ($child) = grep { $_ != $holder } $h->children;
    $h->kill_child($child) if $child;
    return;
}

1;

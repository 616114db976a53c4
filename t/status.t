# The status page: the same figures as JSON, text and HTML, and the sum that
# must hold at any moment: recorded = sent + rejected + dropped + pending +
# spooled.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use ImxTest;

my $db = influxd();

my @keys = qw(points_recorded points_sent points_rejected points_dropped
    points_pending points_spooled last_flush last_error last_status server
    lease_holder buffer_size buffer_used spool_bytes uptime);

sub adds_up {
    my ($s, $when) = @_;
    is($s->{points_recorded}, $s->{points_sent} + $s->{points_rejected}
        + $s->{points_dropped} + $s->{points_pending} + $s->{points_spooled},
        "$when: every point is somewhere") or diag explain $s;
}

for my $mpm (qw(event worker prefork)) {
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, conf => <<"CONF");
InfluxMetricsDatabase $mpm
<Location /status>
SetHandler influx-metrics
InfluxMetrics Off
</Location>
CONF
    $h->put('htdocs/a.html', 'a');
    get($h->url('/a.html')) for 1 .. 20;
    ok(wait_until(20, sub { status($h)->{points_sent} == 20 }),
        "$mpm: sent, as InfluxDB's answers say");
    is($db->count('raw-requests', $mpm), 20, "$mpm: and as it counts itself");
    my $s = status($h);
    is_deeply([grep { !exists $s->{$_} } @keys], [], "$mpm: all figures");
    is($s->{points_recorded}, 20, "$mpm: recorded, the page itself is not");
    adds_up($s, $mpm);
    is($s->{server}, $db->url, "$mpm: where they go");
    ok((grep { $_ == $s->{lease_holder} } $h->children),
        "$mpm: the process that delivers is a child");
    cmp_ok(abs($s->{last_flush} - time), '<', 20, "$mpm: last delivery");
    is($s->{last_status}, 204, "$mpm: last status");
    is($s->{last_error}, '', "$mpm: no error");

    my $text = get($h->url('/status?text'));
    like($text->{content}, qr/^points_recorded: 20$/m, "$mpm: as text");
    my $html = get($h->url('/status'));
    like($html->{headers}{'content-type'}, qr{^text/html}, "$mpm: as HTML");
    like($html->{content}, qr{Points recorded</th><td>20<}, "$mpm: in HTML");
    is(http('POST', $h->url('/status'))->{status}, 405, "$mpm: only GET");
}

# InfluxDB goes away while points come in: they are pending, then sent.
my $h = httpd(module => 1, influx => $db, conf => <<'CONF');
InfluxMetricsDatabase outage
<Location /status>
SetHandler influx-metrics
InfluxMetrics Off
</Location>
CONF
$h->put('htdocs/a.html', 'a');
get($h->url('/a.html'));
wait_until(20, sub { status($h)->{points_sent} == 1 });
$db->stop;
get($h->url('/a.html')) for 1 .. 10;
ok(wait_until(20, sub { status($h)->{last_error} ne '' }), 'the error is told');
ok(wait_until(20, sub { status($h)->{points_pending} == 10 }), 'down: pending');
my $s = status($h);
adds_up($s, 'down');
$h->kill_child($s->{lease_holder});
ok(wait_until(30, sub {
    my $holder = status($h)->{lease_holder};
    $holder != 0 && $holder != $s->{lease_holder};
}), 'another process delivers when the holder is killed');
adds_up(status($h), 'holder killed');
$db->start;
ok(wait_until(90, sub { status($h)->{points_sent} == 11 }), 'back: sent');
adds_up(status($h), 'back');

# Whatever a tag is called, it is JSON.
$h = httpd(module => 1, influx => $db, conf => <<'CONF');
InfluxMetricsDatabase odd
InfluxMetricsTagLimit 1
InfluxMetricsTag "gr\"öße" "%{QUERY_STRING}"
<Location /status>
SetHandler influx-metrics
InfluxMetrics Off
</Location>
CONF
$h->put('htdocs/a.html', 'a');
get($h->url("/a.html?$_")) for 1 .. 3;
ok(wait_until(20, sub { (status($h) // {})->{tag_values_other} }),
    'an odd name of a tag') or diag get($h->url('/status?json'))->{content};
is(status($h)->{tags_at_limit}, "gr\"\x{f6}\x{df}e", 'is what it is');
finish();

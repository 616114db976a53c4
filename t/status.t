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
    lease_holder buffer_size buffer_used spool_bytes uptime state version);

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
    like($html->{content}, 
        qr{<td data-figure="points_recorded"[^>]*>20<}, "$mpm: in HTML");
    like($html->{content}, qr{InfluxDB took the last points},
        "$mpm: and in a sentence");
}

# Which forms there are, and what else may be asked of the page.
sub forms {
    my ($h) = @_;
    my %type = (html => qr{^text/html}, json => qr{^application/json$},
        text => qr{^text/plain});
    my %form = ('' => 'html', '?' => 'html', '?html' => 'html',
        map({ ("?$_" => 'json') } qw(json format=json json&x x&json json=1)),
        map({ ("?$_" => 'text') } qw(text auto format=text auto&refresh=5)));
    for my $query (sort keys %form) {
        my $answer = get($h->url("/status$query"));
        is($answer->{status}, 200, "'$query': answered");
        like($answer->{headers}{'content-type'}, $type{$form{$query}},
            "'$query': as $form{$query}");
        is($answer->{headers}{'cache-control'},
            $query =~ /\w/ ? 'no-store' : 'no-cache', '... not kept unasked');
        is($answer->{headers}{'x-content-type-options'}, 'nosniff',
            '... and taken for nothing else');
        like($answer->{headers}{'content-security-policy'},
            qr/^default-src 'none';/, '... with nothing to run');
    }
    for my $query (qw(?foo ?format=xml ?jso ?jsonx ?formatjson ?&)) {
        my $answer = get($h->url("/status$query"));
        is($answer->{status}, 400, "'$query': is not there");
        like($answer->{content}, qr/\?json.*\?text.*\?auto/s,
            '... and the answer says what is');
    }
}

sub methods {
    my ($h) = @_;
    for my $method (qw(POST PUT DELETE PROPFIND ODD)) {
        my $answer = http($method, $h->url('/status'), { content => 'x' });
        is($answer->{status}, 405, "$method: not here");
        is($answer->{headers}{allow}, 'GET, HEAD', '... what is allowed');
        like($answer->{content}, qr/GET and HEAD/, '... in a sentence');
    }
    my $options = http('OPTIONS', $h->url('/status'));
    is($options->{status}, 200, 'OPTIONS: answered');
    is($options->{headers}{allow}, 'GET, HEAD', '... what is allowed');
    is($options->{content}, '', '... and no more');
    my $head = http('HEAD', $h->url('/status?json'));
    is($head->{status}, 200, 'HEAD: answered');
    is($head->{headers}{'content-type'}, 'application/json', '... as GET is');
    is($head->{content} // '', '', '... without a body');
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
forms($h);
methods($h);
get($h->url('/a.html'));
wait_until(20, sub { status($h)->{points_sent} == 1 });
$db->stop;
get($h->url('/a.html')) for 1 .. 10;
ok(wait_until(20, sub { status($h)->{last_error} ne '' }), 'the error is told');
ok(wait_until(20, sub { status($h)->{points_pending} == 10 }), 'down: pending');
ok(wait_until(20, sub { status($h)->{state} eq 'outage' }), 'and the state');
my $s = status($h);
adds_up($s, 'down');
my ($words) = get($h->url('/status'))->{content}
    =~ m{<ul id="words"[^>]*>(.*?)</ul>}s;
like($words, qr/^<li class="critical">.*InfluxDB has taken no points for \d+ /s,
    'the page begins with the outage');
like($words, qr/connect.*10 points wait in the buffer/si,
    '... why, and what waits');
$h->kill_child($s->{lease_holder});
ok(wait_until(30, sub {
    my $holder = status($h)->{lease_holder};
    $holder != 0 && $holder != $s->{lease_holder};
}), 'another process delivers when the holder is killed');
adds_up(status($h), 'holder killed');
$db->start;
ok(wait_until(90, sub { status($h)->{points_sent} == 11 }), 'back: sent');
adds_up(status($h), 'back');

# Off everywhere: each form says so.
my $off = httpd(module => 1, conf => <<'CONF');
<Location /status>
SetHandler influx-metrics
</Location>
CONF
for my $query ('', '?json', '?text') {
    my $answer = get($off->url("/status$query"));
    is($answer->{status}, 404, "Off everywhere: '$query' has no figures");
    like($answer->{content}, qr/InfluxMetrics is Off everywhere/,
        '... and says why');
}
is(http('OPTIONS', $off->url('/status'))->{headers}{allow}, 'GET, HEAD',
    'OPTIONS is answered there, too');

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

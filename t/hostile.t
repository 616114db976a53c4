# Hostile requests: whatever a client sends, N requests are N points with
# exactly the expected keys, and what is read back is what was sent, less what
# line protocol cannot carry: the repairs of lineproto.h, done here once more.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxHostile;
use ImxTest;
use JSON::PP qw(decode_json);
use List::Util qw(min);
use Test::More;
use Time::HiRes ();

my $db = influxd();

# Field keys by type, tag keys.
sub keys_in {
    my ($name) = @_;
    return {
        (map { $_->{fieldKey} => $_->{fieldType} }
            $db->query('SHOW FIELD KEYS', $name)),
        (map { $_->{tagKey} => 'tag' } $db->query('SHOW TAG KEYS', $name)),
    };
}

subtest '1,500 hostile requests' => sub {
    my $h = httpd(module => 1, influx => $db, children => 2, threads => 8,
        conf => "InfluxMetricsDatabase hostile\n$own");
    my @sent = map { hostile($_) } 1 .. 1500;
    send_all($h->port, map { $_->{text} } @sent);
    count_is($db, 1500, '1,500 points', database => 'hostile');
    is_deeply(keys_in('hostile'), \%types, 'exactly the expected keys')
        or diag explain keys_in('hostile');
    my @rows = $db->query('SELECT * FROM "raw-requests"', 'hostile');
    is(scalar @rows, 1500, '1,500 rows');
    is(scalar(keys %{ { map { $_->{n} => 1 } @rows } }), 1500,
        'each request once');
    my @names = grep { !/^(?:hostname|method|process|server|status|bytes_sent
        |request_time|application_time)$/x } keys %types;
    is(compare(\@sent, \@rows, \@names), 0, 'and all values are what was sent');
    is_deeply([map { $_->{name} } $db->query('SHOW MEASUREMENTS', 'hostile')],
        ['raw-requests'], 'one measurement');
    is(scalar(grep { $_->{method} ne 'GET' || $_->{status} !~ /^(?:403|404)$/ }
        @rows), 0, 'the other tags are as ever')
        or diag explain [map { "$_->{method} $_->{status}" } @rows];
    is_deeply([$h->complaints], [], 'no complaint');
};

subtest 'the same to VictoriaMetrics' => sub {
    my $vm = victoria();
    my $h = httpd(module => 1, influx => $vm->url, children => 1,
        threads => 8, conf => "InfluxMetricsCreateDatabase Off\n$own");
    my @sent = map { hostile($_) } 1 .. 300;
    # VictoriaMetrics reads two backslashes as one that is escaped.
    for my $want (map { $_->{want} } @sent) {
        defined and s/\\\\/\\/g for @$want{grep { /^tag_/ } keys %$want};
    }
    send_all($h->port, map { $_->{text} } @sent);
    my @samples;
    wait_until(20, sub { (@samples = $vm->samples('raw-requests_n')) == 300 });
    is(scalar @samples, 300, '300 points');
    my @rows = map { { %{ $_->{labels} }, n => $_->{value} } } @samples;
    my @names = grep { /^tag_/ } keys %types;
    is(compare(\@sent, \@rows, \@names), 0, 'and the tags are what was sent');
};

subtest 'methods, protocols and hosts' => sub {
    my $h = httpd(module => 1, influx => $db, children => 1, threads => 8,
        modules => ['unique_id'], conf => "InfluxMetricsDatabase line\n"
            . "InfluxMetricsTags +protocol +scheme +handler\n$own");
    my @lines = ('G"ET / HTTP/1.1', 'G,ET=x / HTTP/1.1', 'GET\\ / HTTP/1.1',
        'get / HTTP/1.1', 'X' x 3000 . ' / HTTP/1.1', "G\x80T / HTTP/1.1",
        'GET / HTTP/1.1,x=y', 'GET / HTTP/7.7', 'GET / HTTP/1.9',
        'GET /,x=y z=1 HTTP/1.1', 'GET', 'GET ', ' GET / HTTP/1.1', 'GET /',
        'GET http://evil,a=b/ HTTP/1.1', 'GET //evil\\ HTTP/1.1',
        'OPTIONS * HTTP/1.1', 'TRACE /,a=b HTTP/1.1', 'PATCH / HTTP/1.1',
        'CONNECT a,b=c:80 HTTP/1.1', 'GET /%00 HTTP/1.1', 'GET /%zz HTTP/1.1',
        'GET /%2f%2e%2e HTTP/1.1', "GET /a\x00b HTTP/1.1", "GET /\x01 HTTP/1.1",
        'GET / HTTP/1.1" 1', 'PRI * HTTP/2.0', '=,"\\ / HTTP/1.1');
    my @hosts = ('a,b=c\\', 'a b', '"', "\xff", 'x' x 500, '[::1', '%0a');
    raw($h->port, "$_\r\nHost: x\r\nConnection: close\r\n\r\n", half_close => 1)
        for @lines;
    raw($h->port, "GET / HTTP/1.1\r\nHost: $_\r\nConnection: close\r\n\r\n")
        for @hosts;
    raw($h->port, "GET / HTTP/1.1\r\nHost: x\r\nX-T: a\x00b\r\n\r\n",
        half_close => 1);
    raw($h->port, "GET / HTTP/1.1\r\nHost: x\r\nX,T=\"\\: a\r\n\r\n",
        half_close => 1);
    count_is($db, $h, 'a point for each line of the access log',
        database => 'line');
    my $n = @lines + @hosts + 2;
    cmp_ok(abs($h->access_count - $n), '<=', 4, "about $n of them");
    my %expected = (%types, handler => 'tag', protocol => 'tag',
        scheme => 'tag');
    my $keys = keys_in('line');
    is_deeply([grep { ($expected{$_} // '') ne $keys->{$_} } keys %$keys], [],
        'no key that is not expected') or diag explain $keys;
    my @methods = map { $_->{value} } $db->query(
        'SHOW TAG VALUES WITH KEY = "method"', 'line');
    is_deeply([grep { !/^(?:GET|OTHER|OPTIONS|TRACE|PATCH|CONNECT)$/ }
        @methods], [], 'no method that httpd does not know');
    my @protocols = map { $_->{value} } $db->query(
        'SHOW TAG VALUES WITH KEY = "protocol"', 'line');
    is_deeply([grep { !m{^(?:HTTP/\d\.\d|other)$} } @protocols], [],
        'no protocol of a client\'s making');
    is_deeply([map { $_->{value} } $db->query(
        'SHOW TAG VALUES WITH KEY = "server"', 'line')], ['imx.test'],
        'no server of a client\'s making');
};

# Everything that an expression can ask for, on requests that have hardly
# anything: method, uri and headers are missing.
my @variables = (qw(HTTP_ACCEPT HTTP_COOKIE HTTP_FORWARDED HTTP_HOST
    HTTP_PROXY_CONNECTION HTTP_REFERER HTTP_USER_AGENT REQUEST_METHOD
    REQUEST_SCHEME REQUEST_URI DOCUMENT_URI REQUEST_FILENAME SCRIPT_FILENAME
    LAST_MODIFIED SCRIPT_USER SCRIPT_GROUP PATH_INFO QUERY_STRING IS_SUBREQ
    THE_REQUEST REMOTE_ADDR REMOTE_PORT REMOTE_HOST REMOTE_USER REMOTE_IDENT
    SERVER_NAME SERVER_PORT SERVER_ADMIN SERVER_PROTOCOL DOCUMENT_ROOT
    AUTH_TYPE CONTENT_TYPE HANDLER HTTP2 HTTPS IPV6 REQUEST_STATUS
    REQUEST_LOG_ID CONN_LOG_ID CONN_REMOTE_ADDR CONTEXT_PREFIX
    CONTEXT_DOCUMENT_ROOT TIME SERVER_SOFTWARE API_VERSION));
my @calls = map { "%{tolower:$_}" } '%{REQUEST_URI}', '%{REQUEST_METHOD}',
    '%{req:Host}', '%{resp:X}', '%{reqenv:X}', '%{note:X}', '%{env:PATH}',
    '%{md5:%{REQUEST_URI}}', '%{unescape:%{QUERY_STRING}}',
    '%{escape:%{THE_REQUEST}}', '%{base64:%{THE_REQUEST}}';

subtest 'requests that have hardly anything' => sub {
    my $i = 0;
    my $conf = join '', (map { "InfluxMetricsTag t$_ \"%{$_}\"\n"
        . "InfluxMetricsField f$_ string \"%{$_}\"\n" } @variables[0 .. 27]),
        (map { "InfluxMetricsField f$_ string \"%{$_}\"\n" }
            @variables[28 .. $#variables]),
        map { 'InfluxMetricsField c' . ++$i . " string \"$_\"\n" } @calls;
    my $h = httpd(module => 1, influx => $db, children => 1, threads => 8,
        modules => ['reqtimeout', 'unique_id'], conf => <<"CONF" . $conf);
InfluxMetricsDatabase hardly
InfluxMetricsTags +backend +handler +protocol +scheme +status_class +user \\
    +vhost_port
InfluxMetricsFields +uri +query +client +user_agent +referer +keepalive \\
    +connection_id +request_id +trace_id +pid +thread +tls_version +aborted \\
    +server_time +input_time +output_time +ttfb +bytes_received
InfluxMetricsRoute x ^/x
InfluxMetricsIf "%{REQUEST_URI} != '/no' && %{REQUEST_METHOD} !~ /^N/ && ! \\
    (%{QUERY_STRING} =~ /no/) && ! %{REQUEST_URI} -strmatch '/no*'"
InfluxMetricsSample 1 errors
RequestReadTimeout header=1
LimitRequestLine 400
CONF
    my $port = $h->port;
    raw($port, 'GET /x', read => 1, timeout => 10);         # 408
    raw($port, "GET / HTTP/1.1\r\nHo", timeout => 10);      # 408
    raw($port, 'GET /' . 'x' x 500 . " HTTP/1.1\r\n\r\n");  # 414
    raw($port, "BAD\r\n\r\n");                              # 400
    raw($port, "\x00\x01\r\n\r\n");
    raw($port, "GET / HTTP/1.1\r\n\r\n");                   # no Host
    raw($port, "GET / HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n");
    raw($port, "GET / HTTP/1.1\r\nHost: x\r\n"
        . "X: y\r\n" x 200 . "\r\n");                       # too many
    raw($port, "TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    raw($port, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    raw($port, "GET / HTTP/1.1\r\nHost: x\r\n"
        . "Connection: close\r\n\r\n");
    ok(wait_until(20, sub {
        my @r = eval { $db->query('SELECT client FROM "raw-requests"',
            'hardly') };
        @r && @r == $h->access_count;
    }), 'a point for each line of the access log');
    my %status;
    $status{ $_->{status} }++ for $db->query(
        'SELECT client, status FROM "raw-requests"', 'hardly');
    ok($status{$_}, "one with status $_") for 200, 400, 408, 414;
    is_deeply([grep { /exit signal|Segmentation/ } $h->error_log], [],
        'no crash');
};

subtest 'what does not fit is cut or left out, the point is there' => sub {
    my @many = map { "InfluxMetricsField long$_ string \"%{req:X-T}\"\n"
        . "InfluxMetricsTag tag$_ \"%{req:X-S}\"\n" } 1 .. 50;
    my $h = httpd(module => 1, influx => $db, children => 1, threads => 8,
        conf => <<"CONF" . join '', @many);
InfluxMetricsDatabase long
InfluxMetricsFields +uri +query +user_agent +referer
InfluxMetricsField n int "%{req:N}"
LimitRequestFieldSize 20000
LimitRequestLine 20000
<Location /status>
SetHandler influx-metrics
InfluxMetrics Off
</Location>
CONF
    my @values = ('x' x 8000, '"' x 8000, "\xff" x 8000, '\\' x 8000,
        ', =' x 2700, "\xe2\x82\xac" x 2700, "\xf0\x9f\x98\x80" x 2000,
        'a' . "\xf0\x9f\x98\x80" x 2000, 'ab' . "\xe2\x82\xac" x 2700);
    my @lengths = (1 .. 3, 1020 .. 1030, 5000);
    push @values, map { ('y' x $_, "\xc3\xa4" x ($_ / 2) . 'z') } @lengths;
    my @requests = map { my $n = $_;
        my $s = $n % 3 ? '' : 'X-S: ' . $values[$n] . "\r\n";
        "GET /index.html?$n" . 'q' x (30 * $n) . " HTTP/1.1\r\nHost: x\r\n"
        . "N: $n\r\n${s}User-Agent: $values[$n]\r\nX-T: $values[$n]\r\n"
        . "Referer: $values[$n]\r\n\r\n" } 0 .. $#values;
    send_all($h->port, @requests);
    count_is($db, scalar @requests, 'as many points', database => 'long');
    my @rows = $db->query('SELECT * FROM "raw-requests"', 'long');
    my ($short, $long) = (0, 0);
    for my $p (@rows) {
        my $agent = bytes($p->{user_agent});
        next if !defined $agent;
        my ($n) = $p->{query} =~ /^(\d+)/;
        my $want = as_field($values[$n]);
        # Whole, or its beginning when the line is full.
        $short++ if $agent ne $want && index($want, $agent) != 0;
        $long++ if length $agent > 3 * 1024;
    }
    is($short, 0, 'a value is what was sent, or its beginning');
    is($long, 0, 'none is longer than it may be');
    is(scalar(grep { !defined $_->{bytes_sent} || !defined $_->{request_time} }
        @rows), 0, 'the usual fields are always there');
    is(scalar(grep { !defined $_->{uri} && !$_->{tag1} } @rows), 0,
        'and so is the path, unless tags took the room');
    my $figures = decode_json(get($h->url('/status?json'))->{content});
    cmp_ok($figures->{values_left_out}, '>', 0, 'what was left out is counted');
    is($figures->{points_rejected}, 0, 'nothing was refused');
    is($figures->{points_recorded}, scalar @requests, 'each is a point');
};

subtest 'cut between characters' => sub {
    my $h = httpd(module => 1, influx => $db, children => 1, threads => 8,
        conf => <<'CONF');
InfluxMetricsDatabase cut
InfluxMetricsFields +user_agent
InfluxMetricsField n int "%{req:N}"
InfluxMetricsField own string "%{HTTP_USER_AGENT}"
InfluxMetricsTag t "%{HTTP_USER_AGENT}"
CONF
    my @values;
    for my $char ("\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\x80",
        "\xf0\x9f") {
        for my $before (1018 .. 1024) {
            push @values, 'x' x $before . $char x 3,
                'x' x $before . $char x 300;
        }
    }
    my @sent = map { {
        text => "GET /index.html HTTP/1.1\r\nHost: x\r\nN: $_\r\nUser-Agent: "
            . "$values[$_]\r\n\r\n",
        want => { n => $_, user_agent => as_field($values[$_]),
            own => as_field($values[$_]), t => as_tag($values[$_]) },
    } } 0 .. $#values;
    send_all($h->port, map { $_->{text} } @sent);
    count_is($db, scalar @sent, 'as many points', database => 'cut');
    my @rows = $db->query('SELECT * FROM "raw-requests"', 'cut');
    is(compare(\@sent, \@rows, [qw(user_agent own t)]), 0, 'each cut is right');
};

finish();

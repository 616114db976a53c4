# Every kind of request is one line, with the right method, status, size and
# times, on each MPM.  Each kind has a virtual host of its own, on a port of
# its own, so the tag `server` tells which points belong to it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxApp;
use ImxTest;
use Test::More;

my $db = influxd();
my $big = 24 * 1024 * 1024;     # more than both ends of a socket can hold
my $host = "Host: imx.test\r\n";
my $close = "Connection: close\r\n";

sub ask {
    my ($method, $path, $more) = @_;
    return "$method $path HTTP/1.1\r\n$host" . ($more // '') . "\r\n";
}

# A reader that begins late, with a small receive buffer.
my @slow_reader = (read_pause => 0.8, rcvbuf => 4096);

# A body that pauses in its middle.
sub slow_upload {
    my ($port, $path) = @_;
    my $head = ask('POST', $path, "Content-Length: 20\r\n$close");
    raw($port, $head . 'x' x 20, pause => [length($head) + 10, 0.8]);
}

my $cgi = <<'CGI';
Options +ExecCGI
AddHandler cgi-script .cgi
CGI

# Both for an application that takes 0.4 s and for one whose client takes 0.8 s:
# that time is the application's, or it is not.  What a busy machine adds may be
# in it or not, so nothing says how much application_time is at most.
my @slow_app = (app => 0.4);
my @slow_client = (app => 0, client => 0.4);

my %no_app = (app => undef);
my @kinds = (
    { name => 'static', run => sub { get("http://127.0.0.1:$_[0]/") },
        is => [GET => 200, 12], app => 0 },
    { name => 'head', run => sub { raw($_[0], ask('HEAD', '/', $close)) },
        is => [HEAD => 200, 0], app => 0 },
    { name => 'not-modified', run => sub {
            raw($_[0], ask('GET', '/', "If-None-Match: *\r\n$close"));
        }, is => [GET => 304, 0] },
    { name => 'found', conf => 'Redirect /a /b',
        run => sub { get("http://127.0.0.1:$_[0]/a") }, is => [GET => 302] },
    { name => 'no-host', run => sub { raw($_[0], "GET / HTTP/1.1\r\n\r\n") },
        is => [GET => 400], %no_app },
    { name => 'garbage', run => sub { raw($_[0], "\x01\x02\x03 x\r\n\r\n") },
        is => [OTHER => 400], %no_app },
    { name => 'denied', conf => "<Location />\nRequire all denied\n</Location>",
        run => sub { get("http://127.0.0.1:$_[0]/") },
        is => [GET => 403], %no_app },
    { name => 'missing', run => sub { get("http://127.0.0.1:$_[0]/no") },
        is => [GET => 404] },
    { name => 'not-allowed',
        run => sub { raw($_[0], ask('DELETE', '/', $close)) },
        is => [DELETE => 405] },
    { name => 'brew', run => sub { raw($_[0], ask('BREW', '/', $close)) },
        is => [OTHER => 501] },
    { name => 'too-late', conf => 'Timeout 1',
        run => sub { raw($_[0], 'GET / HT') }, is => [OTHER => 408], %no_app },
    { name => 'late-header', conf => 'Timeout 1',
        run => sub { raw($_[0], "GET / HTTP/1.1\r\nHo") },
        is => [GET => 408], time => 0.9, %no_app },
    { name => 'too-long',
        run => sub { raw($_[0], ask('GET', '/' . 'x' x 9000, $close)) },
        is => [OTHER => 414], %no_app },
    { name => 'rewrite', conf => "RewriteEngine On\n"
            . 'RewriteRule ^/old$ /index.html [PT]',
        run => sub { get("http://127.0.0.1:$_[0]/old") },
        is => [GET => 200, 12] },
    # In a directory mod_rewrite makes an internal redirect of it.
    { name => 'redirect', conf => "<Location />\nOptions +FollowSymLinks\n"
            . "RewriteEngine On\nRewriteRule old\$ /index.html\n</Location>",
        run => sub { get("http://127.0.0.1:$_[0]/old") },
        is => [GET => 200, 12] },
    # Its own status is 200 then, the target's is not.
    { name => 'redirect-missing', conf => "<Location />\n"
            . "Options +FollowSymLinks\nRewriteEngine On\n"
            . "RewriteRule old\$ /no.html\n</Location>",
        run => sub { get("http://127.0.0.1:$_[0]/old") }, is => [GET => 404] },
    { name => 'error-document', conf => 'ErrorDocument 404 /sorry.html',
        run => sub { get("http://127.0.0.1:$_[0]/no") },
        is => [GET => 404, 6] },
    # The request for the document is a GET, the client's was not.
    { name => 'error-post', conf => 'ErrorDocument 404 /sorry.html',
        run => sub { http('POST', "http://127.0.0.1:$_[0]/no",
            { content => 'x' }) }, is => [POST => 404, 6] },
    { name => 'directory', conf => 'DirectoryIndex nothing.html index.html',
        run => sub { get("http://127.0.0.1:$_[0]/sub/") },
        is => [GET => 200, 4] },
    { name => 'keep-alive', count => 3, is => [GET => 200, 12], run => sub {
            my $ua = HTTP::Tiny->new(keep_alive => 1);
            $ua->get("http://127.0.0.1:$_[0]/") for 1 .. 3;
        } },
    { name => 'pipelined', count => 5, is => [GET => 200, 12], run => sub {
            raw($_[0], ask('GET', '/') x 4 . ask('GET', '/', $close));
        } },
    { name => 'subrequest', conf => "Options +Includes\n"
            . "AddOutputFilter INCLUDES .shtml",
        run => sub { get("http://127.0.0.1:$_[0]/page.shtml") },
        is => [GET => 200] },
    { name => 'deflate', conf => 'SetOutputFilter DEFLATE', run => sub {
            raw($_[0], ask('GET', '/text',
                "Accept-Encoding: gzip\r\n$close"));
        }, is => [GET => 200] },
    { name => 'slow-reader',
        run => sub { raw($_[0], ask('GET', '/big', $close), @slow_reader) },
        is => [GET => 200, $big], @slow_client },
    { name => 'gone', run => sub {
            raw($_[0], ask('GET', '/big'), rcvbuf => 4096, read => 0);
        }, is => [GET => 200] },
    { name => 'cgi', conf => $cgi,
        run => sub { get("http://127.0.0.1:$_[0]/script.cgi") },
        is => [GET => 200, 4], app => 0 },
    { name => 'cgi-slow', conf => $cgi,
        run => sub { get("http://127.0.0.1:$_[0]/script.cgi?app=0.4") },
        is => [GET => 200, 4], @slow_app },
    # After its header: mod_cgi hands the open pipe down then.
    { name => 'cgi-late', conf => $cgi,
        run => sub { get("http://127.0.0.1:$_[0]/script.cgi?late=0.2") },
        is => [GET => 200, 4], @slow_app },
    { name => 'cgi-upload', conf => $cgi,
        run => sub { slow_upload($_[0], '/script.cgi?read') },
        is => [POST => 200, 4], @slow_client },
    { name => 'cgi-reader', conf => $cgi, run => sub {
            raw($_[0], ask('GET', "/script.cgi?big=$big", $close),
                @slow_reader);
        }, is => [GET => 200, $big], @slow_client },
    { name => 'wsgi', conf => 'WSGIScriptAlias / %D/app.wsgi',
        run => sub { get("http://127.0.0.1:$_[0]/") },
        is => [GET => 200, 4] },
    { name => 'wsgi-slow', conf => 'WSGIScriptAlias / %D/app.wsgi',
        run => sub { get("http://127.0.0.1:$_[0]/?app=0.4") },
        is => [GET => 200, 4], @slow_app },
    { name => 'wsgi-upload', conf => 'WSGIScriptAlias / %D/app.wsgi',
        run => sub { slow_upload($_[0], '/?read') },
        is => [POST => 200, 4], @slow_client },
    { name => 'wsgi-reader', conf => 'WSGIScriptAlias / %D/app.wsgi',
        run => sub {
            raw($_[0], ask('GET', "/?big=$big", $close), @slow_reader);
        }, is => [GET => 200, $big], @slow_client },
    { name => 'daemon', conf => "WSGIScriptAlias / %D/app.wsgi\n"
            . 'WSGIProcessGroup behind',
        run => sub { get("http://127.0.0.1:$_[0]/?app=0.4") },
        is => [GET => 200, 4], @slow_app },
    # The application behind the proxy; its own points are those of `wsgi'.
    { name => 'proxy', conf => 'ProxyPass / http://127.0.0.1:%P/',
        run => sub { get("http://127.0.0.1:$_[0]/?app=0.4") },
        is => [GET => 200, 4], @slow_app, behind => 1 },
    { name => 'proxy-upload', conf => 'ProxyPass / http://127.0.0.1:%P/',
        run => sub { slow_upload($_[0], '/?read') },
        is => [POST => 200, 4], @slow_client, behind => 1 },
    { name => 'proxy-down', conf => 'ProxyPass / http://127.0.0.1:1/',
        run => sub { get("http://127.0.0.1:$_[0]/") }, is => [GET => 503] },
    { name => 'off', count => 0, conf => 'InfluxMetrics Off',
        run => sub { get("http://127.0.0.1:$_[0]/") } },
    { name => 'off-below', count => 1, is => [GET => 200, 12],
        conf => "<Location /sub/>\nInfluxMetrics Off\n</Location>",
        run => sub {
            get("http://127.0.0.1:$_[0]$_") for '/sub/', '/index.html';
        } },
);

sub server {
    my ($mpm) = @_;
    my $fill = sub {
        my ($conf) = @_;
        return sub {
            my ($h) = @_;
            my $behind = $h->port('behind.test');
            return ($conf // '') =~ s/%D/$h->dir/ger =~ s/%P/$behind/gr;
        };
    };
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, start => 0,
        children => $mpm eq 'prefork' ? 8 : 2,
        modules => [qw(alias rewrite include filter deflate proxy proxy_http
            wsgi), $mpm eq 'prefork' ? 'cgi' : 'cgid'],
        vhosts => [(map { ("$_->{name}.test" => $fill->($_->{conf})) } @kinds),
            'behind.test' => $fill->('WSGIScriptAlias / %D/app.wsgi')],
        conf => sub {
            "InfluxMetricsDatabase $mpm\nWSGIApplicationGroup %{GLOBAL}\n"
            . 'WSGIDaemonProcess behind processes=1 threads=4 home='
            . $_[0]->dir;
        });
    $h->put('htdocs/sub/index.html', "sub\n");
    $h->put('htdocs/sorry.html', "sorry\n");
    $h->put('htdocs/text', 'text ' x 1000);
    $h->put('htdocs/big', 'x' x $big);
    $h->put('htdocs/page.shtml', '<!--#include virtual="/index.html" -->'
        . '<!--#include virtual="/sub/" -->');
    $h->put('htdocs/script.cgi', ImxApp::cgi(), 0755);
    $h->put('app.wsgi', ImxApp::wsgi());
    return $h->start;
}

# One point beside the line that the access log has for it.
sub point_is {
    my ($kind, $point, $logged, $name) = @_;
    my ($method, $status, $bytes) = @{ $kind->{is} };
    is($point->{method}, $method, "$name: method");
    is($point->{status}, $status, "$name: status");
    is($point->{status}, $logged->{status}, "$name: status as logged");
    $bytes //= $logged->{bytes};
    is($point->{bytes_sent}, $bytes, "$name: bytes_sent");
    # Both are taken at the end of the request, one after the other.
    my $apart = abs($point->{request_time} - $logged->{us} / 1e6);
    cmp_ok($apart, '<', 0.25 * slow(), "$name: request_time as logged");
    cmp_ok($point->{request_time}, '>=', $kind->{time}, "$name: request_time")
        if $kind->{time};
    return if !exists $kind->{app};
    my $app = $point->{application_time};
    if (defined $kind->{app}) {
        my $client = $kind->{client} // 0;
        cmp_ok($app // -1, '>=', $kind->{app}, "$name: application_time");
        cmp_ok($app // -1, '<=', $point->{request_time} - $client,
            "$name: without the client's $client s");
    }
    else {
        is($app, undef, "$name: no handler, no application_time");
    }
}

for my $mpm (qw(event worker prefork)) {
    my $h = server($mpm);
    my $expected = 0;
    for my $kind (@kinds) {
        $kind->{run}->($h->port("$kind->{name}.test"));
        $expected += ($kind->{count} // 1) + ($kind->{behind} // 0);
    }
    count_is($db, $expected, "$mpm: as many points as expected",
        database => $mpm);
    ok($h->stop, "$mpm: stops");
    my (%points, %logged);
    for ($db->query('SELECT * FROM "raw-requests"', $mpm)) {
        push @{ $points{ $_->{server} } }, $_;
    }
    push @{ $logged{ $_->{server} } }, $_ for $h->access_log;
    for my $kind (@kinds) {
        my $server = "$kind->{name}.test";
        my @points = @{ $points{$server} // [] };
        is(scalar @points, $kind->{count} // 1,
            "$mpm $kind->{name}: number of points") or next;
        my @lines = @{ $logged{$server} // [] };
        @lines = $lines[-1] if $kind->{name} eq 'off-below';
        point_is($kind, $points[$_], $lines[$_], "$mpm $kind->{name}")
            for 0 .. $#points;
    }
    is(scalar @{ $points{'behind.test'} // [] }, 2,
        "$mpm: the proxied requests, behind the proxy");
}

# Streams of HTTP/2 are requests, too.
SKIP: {
    my $curl = which_one('curl');
    skip 'no curl with HTTP/2', 2
        if !$curl || `$curl --version` !~ /\bHTTP2\b/;
    my $h = httpd(module => 1, influx => $db, modules => ['http2'],
        conf => "InfluxMetricsDatabase h2\nProtocols h2c http/1.1");
    my @flags = qw(-s -o /dev/null --http2-prior-knowledge -w %{http_version});
    is(join(' ', map { `$curl @flags $_` } $h->url, $h->url('/no')), '2 2',
        'HTTP/2 answers');
    wait_until(20, sub { $db->count('raw-requests', 'h2') == 2 });
    my @points = $db->query('SELECT * FROM "raw-requests"', 'h2');
    is_deeply([sort map { "$_->{method} $_->{status}" } @points],
        ['GET 200', 'GET 404'], 'HTTP/2: a point a stream');
}

finish();

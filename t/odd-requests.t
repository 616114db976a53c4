# Requests that go unusual ways through httpd: each is a point, beside its line
# in the access log, with the method, status and size that stand there.  Each
# kind has a virtual host of its own, on a port of its own, so the tag `server`
# tells which points belong to it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use POSIX ();
use Test::More;

my $db = influxd();
my $close = "Connection: close\r\n";

sub ask {
    my ($method, $path, $more) = @_;
    return "$method $path HTTP/1.1\r\nHost: imx.test\r\n" . ($more // '')
        . "\r\n";
}

# One connection, a request after the other as the answers come.
sub in_turn {
    my ($port, $n) = @_;
    my $ua = HTTP::Tiny->new(keep_alive => 1, timeout => 20 * slow());
    $ua->get("http://127.0.0.1:$port$_") for @_[1 .. $#_];
}

sub url { "http://127.0.0.1:$_[0]" . ($_[1] // '/') }

my $h2load = which_one('h2load') or die 'h2load (nghttp2-client) is missing';
sub h2load {
    my ($port, $flags, @paths) = @_;
    open my $p, '-|', $h2load, @$flags, map { url($port, $_) } @paths
        or die "h2load: $!";
    my $text = do { local $/; <$p> };
    close $p or die "h2load failed: $text";
}

# Takes one connection after the other, agrees to any Upgrade, and sends back
# what comes then.
sub switching {
    my ($listener) = @_;
    while (my $c = $listener->accept) {
        my $got = '';
        while ($got !~ /\r\n\r\n/) {
            sysread($c, $got, 4096, length $got) or last;
        }
        syswrite $c, "HTTP/1.1 101 Switching Protocols\r\n"
            . "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        syswrite $c, $got while sysread $c, $got, 4096;
    }
}

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5)
    or die "listen: $!";
my $switching = fork // die "fork: $!";
if ($switching == 0) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    switching($listener);
    POSIX::_exit(0);
}
END { kill KILL => $switching if $switching }

my %program = (
    'location.cgi' => 'print "Location: /index.html\n\n"',
    'missing.cgi' => 'print "Location: /no\n\n"',
    'broken.cgi' => 'print STDERR "no header\n"',
    'half.cgi' => '$| = 1; print "Content-Type: text/plain\n\nhalf"; '
        . 'kill KILL => $$',
    'status.cgi' => 'print "Status: 409 Conflict\nContent-Type: a/b\n\nx"',
    'echo.cgi' => 'my $n = 0; while (read STDIN, my $b, 999) { '
        . '$n += length $b } print "Content-Type: text/plain\n\n$n"',
    'slow.cgi' => 'select undef, undef, undef, 0.5; '
        . 'print "Content-Type: text/plain\n\nslow"',
    'error.cgi' => 'print "Content-Type: text/plain\n\n'
        . '$ENV{REDIRECT_STATUS}"',
);
my $cgi = "Options +ExecCGI +FollowSymLinks +Includes +MultiViews\n"
    . 'AddHandler cgi-script .cgi';

# name, configuration, what is asked, and the statuses to be logged.
my @kinds = (
    ['trace', '', sub { raw($_[0], ask('TRACE', '/', $close)) }, 200],
    ['options', '', sub {
        raw($_[0], ask('OPTIONS', '*') . ask('OPTIONS', '/', $close));
    }, 200, 200],
    ['expect', '', sub {
        raw($_[0], ask('GET', '/', "Expect: the-worst\r\n$close"));
    }, 417],
    ['ranges', '', sub {
        raw($_[0], ask('GET', '/text', "Range: bytes=1-5\r\n")
            . ask('GET', '/text', "Range: bytes=1-5,7-9\r\n")
            . ask('HEAD', '/text', "Range: bytes=1-5\r\n")
            . ask('GET', '/text', "Range: bytes=99999-\r\n$close"));
    }, 206, 206, 206, 416],
    ['conditions', '', sub {
        raw($_[0], ask('GET', '/text', qq{If-Match: "x"\r\n})
            . ask('POST', '/', qq{Content-Length: 2\r\n}) . 'xx'
            . ask('GET', '/text', "If-None-Match: *\r\n$close"));
    }, 412, 200, 304],
    ['http09', 'HttpProtocolOptions Unsafe', sub {
        raw($_[0], "GET /index.html\r\n");
    }, 200],
    ['http10', '', sub {
        raw($_[0], "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
            . "GET /no HTTP/1.0\r\n\r\n");
    }, 200, 404],
    ['limits', "LimitRequestFields 5\nLimitRequestBody 10", sub {
        raw($_[0], ask('GET', '/', join '', map { "X$_: y\r\n" } 1 .. 9));
        raw($_[0], ask('POST', '/echo.cgi', "Content-Length: 20\r\n$close")
            . 'x' x 20);
    }, 400, 413],
    ['chunked', $cgi, sub {
        raw($_[0], ask('POST', '/echo.cgi', "Transfer-Encoding: chunked\r\n")
            . "5\r\nhello\r\n0\r\n\r\n"
            . ask('POST', '/echo.cgi', "Transfer-Encoding: chunked\r\n$close")
            . "zz\r\nhello\r\n0\r\n\r\n");
    }, 200, 400],
    ['upload-gone', "$cgi\nTimeout 1", sub {
        raw($_[0], ask('POST', '/echo.cgi', "Content-Length: 20\r\n") . 'x',
            half_close => 1);
    }, 400],
    ['upload-late', "$cgi\nRequestReadTimeout body=1", sub {
        raw($_[0], ask('POST', '/echo.cgi', "Content-Length: 20\r\n") . 'x');
    }, 408],
    ['header-late', 'RequestReadTimeout header=1', sub {
        raw($_[0], "GET / HTTP/1.1\r\nHo");
    }, 408],
    ['cgi', $cgi, sub { in_turn($_[0], map { "/$_.cgi" } qw(location missing
        broken status half location)) }, 200, 404, 500, 409, 200, 200],
    ['error-cgi', "$cgi\nErrorDocument 404 /error.cgi\n"
        . "ErrorDocument 403 /no\nErrorDocument 409 /location.cgi\n"
        . "<Location /closed>\nRequire all denied\n</Location>", sub {
        in_turn($_[0], '/no', '/closed', '/status.cgi', '/index.html', '/no');
    }, 404, 404, 409, 200, 404],
    ['error-elsewhere', 'ErrorDocument 404 http://127.0.0.1/', sub {
        in_turn($_[0], '/no', '/');
    }, 302, 200],
    ['endless', "RewriteEngine On\nLimitInternalRecursion 5\n"
        . "<Location />\nRewriteEngine On\nOptions +FollowSymLinks\n"
        . "RewriteRule (loop.*)\$ /x\$1\n</Location>", sub {
        in_turn($_[0], '/loop', '/');
    }, 500, 200],
    ['fallback', "FallbackResource /index.html\n<Location /off>\n"
        . "FallbackResource disabled\n</Location>", sub {
        in_turn($_[0], '/a', '/off/a', '/b/c');
    }, 200, 404, 200],
    ['negotiated', "$cgi\nAddLanguage en .en\nAddLanguage de .de\n"
        . 'AddHandler type-map .var', sub {
        raw($_[0], ask('GET', '/page', "Accept-Language: de\r\n")
            . ask('GET', '/map.var', "Accept-Language: en\r\n")
            . ask('GET', '/page', "Accept: image/png\r\n$close"));
    }, 200, 200, 406],
    ['spelling', 'CheckSpelling On', sub {
        in_turn($_[0], '/indxe.html', '/index.html');
    }, 301, 200, 200],
    ['action', "$cgi\nAction text/plain /error.cgi virtual", sub {
        in_turn($_[0], '/plain.txt', '/index.html');
    }, 200, 200],
    ['includes', "$cgi\nAddOutputFilter INCLUDES;DEFLATE .shtml", sub {
        raw($_[0], ask('GET', '/all.shtml', "Accept-Encoding: gzip\r\n")
            . ask('HEAD', '/all.shtml') . ask('GET', '/all.shtml', $close));
    }, 200, 200, 200],
    ['index', 'Options +Indexes', sub {
        in_turn($_[0], '/list/', '/list', '/list/?C=S;O=D');
    }, 200, 301, 200, 200],
    ['filters', "SetOutputFilter RATE_LIMIT;SUBSTITUTE\nSetEnv rate-limit 99\n"
        . "Substitute s/text/TEXT/\nSetInputFilter DEFLATE\n"
        . 'Header always set X-Y z', sub {
        in_turn($_[0], '/text', '/', '/no');
    }, 200, 200, 404],
    # There are no such filters for a configuration.
    ['own-filters', "SetOutputFilter INFLUX_METRICS\n"
        . 'SetInputFilter INFLUX_METRICS', sub {
        raw($_[0], ask('GET', '/text') . ask('GET', '/no')
            . ask('POST', '/', "Content-Length: 2\r\n$close") . 'xx');
    }, 200, 404, 200],
    # The header filter ends these, in the middle of the answer's first piece.
    ['bad-header', "SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 9999\n"
        . qq{Header set X-Y "a\x01b"}, sub {
        raw($_[0], ask('GET', '/large', $close)) for 1 .. 3;
    }, 500, 500, 500],
    ['auth', "<Location />\nAuthType Basic\nAuthName x\n"
        . "AuthBasicProvider anon\nAnonymous good\nRequire valid-user\n"
        . "</Location>\nErrorDocument 401 /no", sub {
        raw($_[0], ask('GET', '/') . ask('GET', '/', 'Authorization: Basic '
            . "Z29vZDphQGI=\r\n$close"));
    }, 404, 200],
    ['cached', "CacheEnable disk /\nCacheRoot %D/cache\nCacheQuickHandler %Q\n"
        . "CacheIgnoreNoLastMod On\nCacheDefaultExpire 1000", sub {
        in_turn($_[0], ('/text') x 3, '/no', '/');
        raw($_[0], ask('GET', '/text', "If-None-Match: *\r\n")
            . ask('HEAD', '/text') . ask('GET', '/text', "Range: bytes=1-5\r\n")
            . ask('GET', '/text', "Cache-Control: no-cache\r\n$close"));
    }, 200, 200, 200, 404, 200, 304, 200, 200, 200],
    ['proxy', "ProxyPass / %B/", sub {
        in_turn($_[0], '/text', '/no', '/half.cgi', '/');
        raw($_[0], ask('POST', '/echo.cgi', "Transfer-Encoding: chunked\r\n")
            . "5\r\nhello\r\n0\r\n\r\n" . ask('GET', '/', $close));
    }, 200, 404, 200, 200, 200, 200],
    ['tunnel', 'ProxyPass /ws %W/ upgrade=websocket', sub {
        my $got = raw($_[0], ask('GET', '/ws', "Upgrade: websocket\r\n"
            . "Connection: Upgrade\r\n") . 'ping', half_close => 1);
        like($got, qr/^HTTP.1.1 101 .*ping\z/s, 'a tunnel, and what it brings');
    }, 101],
    ['connect', "ProxyRequests On\nAllowCONNECT 1-65535", sub {
        my ($port) = url($_[1]) =~ /:(\d+)/;
        raw($_[0], "CONNECT 127.0.0.1:$port HTTP/1.1\r\n"
            . "Host: 127.0.0.1:$port\r\n\r\n" . ask('GET', '/', $close));
    }, 200],
    ['dav', "DavLockDB %D/lock/db\n<Location />\nDav On\n</Location>", sub {
        raw($_[0], ask('PROPFIND', '/text', "Depth: 0\r\n")
            . ask('MKCOL', '/list/')
            . ask('PROPPATCH', '/text', "Content-Length: 3\r\n") . 'xml');
    }, 207, 405, 400],
    ['pipeline', $cgi, sub {
        raw($_[0], (ask('GET', '/') . ask('GET', '/text') . ask('GET', '/no')
            . ask('GET', '/location.cgi') . ask('GET', '/large')) x 8
            . ask('GET', '/', $close), read_pause => 0.2, rcvbuf => 4096);
    }, (200, 200, 404, 200, 200) x 8, 200],
    # The first has its answer when the second begins, but is not yet logged.
    ['unlogged', $cgi, sub {
        raw($_[0], ask('GET', '/no') . ask('GET', '/slow.cgi', $close));
    }, 404, 200],
    ['once', "InfluxMetrics Off\n<Location /list>\nInfluxMetrics On\n"
        . "</Location>\n$cgi", sub {
        in_turn($_[0], '/', '/list/a.txt', '/no', '/text', '/list/no');
    }, 200, 404],
    ['if', "InfluxMetrics Off\n<If \"%{QUERY_STRING} == 'on'\">\n"
        . "InfluxMetrics On\n</If>", sub {
        in_turn($_[0], '/?on', '/', '/no?on', '/?on');
    }, 200, 404, 200],
    ['suspended', "SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 4000", sub {
        raw($_[0], ask('GET', '/large'), read => 0) for 1 .. 3;
        in_turn($_[0], '/', '/no');
    }, 200, 200, 200, 200, 404],
    ['h2', "Protocols h2c http/1.1\n$cgi\n", sub {
        h2load($_[0], [qw(-n300 -c3 -m20)], '/', '/text', '/no',
            '/location.cgi', '/large');
    }, ((200) x 4, 404) x 60],
    ['h2-upload', "Protocols h2c http/1.1\n$cgi", sub {
        h2load($_[0], [qw(-n20 -c2 -m5 -d), $0], '/echo.cgi');
    }, (200) x 20],
    ['h2-head', "Protocols h2c http/1.1\n$cgi", sub {
        h2load($_[0], [qw(-n20 -c2 -m5), '-H:method: HEAD'], '/text',
            '/no');
    }, (200, 404) x 10],
    # Two for one request, as in the access log.
    ['h2-upgrade', 'Protocols h2c http/1.1', sub {
        raw($_[0], ask('GET', '/', "Connection: Upgrade, HTTP2-Settings\r\n"
            . "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n")
            . "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . "\0\0\0\4\0\0\0\0\0",
            timeout => 1);
    }, 101, 200],
);

sub server {
    my ($mpm) = @_;
    my $h;
    my $fill = sub {
        my ($conf) = @_;
        return sub {
            my ($h) = @_;
            my %value = (D => $h->dir, Q => $mpm eq 'event' ? 'On' : 'Off',
                B => 'http://127.0.0.1:' . $h->port('behind.test'),
                W => 'http://127.0.0.1:' . $listener->sockport);
            return $conf =~ s/%([DQBW])\b/$value{$1}/gr;
        };
    };
    $h = httpd(mpm => $mpm, module => 1, influx => $db, start => 0,
        children => $mpm eq 'prefork' ? 8 : 2,
        modules => [qw(alias rewrite include filter deflate proxy proxy_http
            proxy_connect http2 cache cache_disk ratelimit substitute headers
            env negotiation speling actions autoindex auth_basic authn_core
            authn_anon authz_user authz_host dav dav_fs reqtimeout),
            $mpm eq 'prefork' ? 'cgi' : 'cgid'],
        vhosts => [(map { ("$_->[0].test" => $fill->($_->[1])) } @kinds),
            'behind.test' => $cgi],
        conf => "InfluxMetricsDatabase $mpm");
    $h->put("htdocs/$_", "#!$^X\n$program{$_};\n", 0755) for keys %program;
    $h->put('htdocs/text', 'text ' x 1000);
    $h->put('htdocs/plain.txt', 'text');
    $h->put('htdocs/list/a.txt', 'text');
    $h->put('htdocs/large', 'x' x 200_000);
    $h->put('htdocs/page.html.en', 'page');
    $h->put('htdocs/page.html.de', 'Seite');
    $h->put('htdocs/map.var', "URI: page.html.en\nContent-Type: text/html\n"
        . "Content-Language: en\n\n");
    $h->put('htdocs/all.shtml', join "\n", map {
        qq{<!--#include virtual="$_" -->}
    } '/index.html', '/no', '/location.cgi', '/status.cgi', '/list/');
    mkdir $h->dir . "/$_" and chmod 0777, $h->dir . "/$_" for qw(cache lock);
    return $h->start;
}

# Where not all is to be recorded, and where the log has another size: it says
# what HTTP/2 does not send of the answer to a HEAD.
my %differs = map { $_ => 1 } qw(once if h2-head);

# What the access log has, and the points, a line each, by server.
sub logged {
    my ($h) = @_;
    my %rows;
    push @{ $rows{ $_->{server} } }, join ' ', @$_{qw(method status bytes)}
        for $h->access_log;
    return %rows;
}

sub recorded {
    my ($mpm) = @_;
    my (%rows, %app, @odd);
    for ($db->query('SELECT * FROM "raw-requests"', $mpm)) {
        my $row = join ' ', @$_{qw(method status bytes_sent)};
        my $app = $_->{application_time} // 0;
        push @{ $rows{ $_->{server} } }, $row;
        $app{ $_->{server} }{ $_->{status} } = $_->{application_time};
        push @odd, "$_->{server} $row: $app of $_->{request_time} s"
            if $app < 0 || $app > $_->{request_time};
    }
    is_deeply(\@odd, [], "$mpm: application_time is a part of request_time");
    my $two = $app{'unlogged.test'};
    ok(defined $two->{404} && $two->{404} < $two->{200} - 0.4,
        "$mpm: and of the right request") or diag explain $two;
    return %rows;
}

for my $mpm (qw(event worker prefork)) {
    my $h = server($mpm);
    # mod_http2 does not work with prefork.
    my @these = grep { $mpm ne 'prefork' || $_->[0] !~ /^h2/ } @kinds;
    my $expected = 0;
    for my $kind (@these) {
        my ($name, undef, $run, @statuses) = @$kind;
        $run->($h->port("$name.test"), $h->port('behind.test'));
        $expected += @statuses;
    }
    wait_until(20, sub {
        $db->count('raw-requests', $mpm) >= $expected
    });
    ok($h->stop, "$mpm: stops");
    my %log = logged($h);
    my %points = recorded($mpm);
    for my $kind (@these) {
        my ($name, undef, undef, @statuses) = @$kind;
        my @points = sort @{ $points{"$name.test"} // [] };
        is_deeply([sort map { (split / /)[1] } @points], [sort @statuses],
            "$mpm $name: each request is a point")
            or diag join "\n", $name, @points;
        is_deeply(\@points, [sort @{ $log{"$name.test"} // [] }],
            "$mpm $name: as in the access log") if !$differs{$name};
    }
    is_deeply([grep { /exit signal/ } $h->error_log], [],
        "$mpm: no child crashed");
}

finish();

# A referee: odd requests of every kind that was found, beside an access log with
# %>s %B %D %X %m %H and mod_logio; point and line are joined by an id and
# compared one by one: status, bytes, duration, method, protocol, who left, and
# whether the phases add up.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxApp;
use ImxCurl;
use ImxH2;
use ImxTest;
use ImxTls;
use IO::Socket::INET;
use Test::More;

my $db = influxd();
my $times = 3;                  # each kind
my $close = "Connection: close\r\n";
my $dead = free_port();         # nobody listens there

# ---- a backend that closes the connection instead of an answer, when asked ----

my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 20)
    or die "listen: $!";
my $backend = $listener->sockport;
my $backend_pid = fork // die "fork: $!";
if ($backend_pid == 0) {
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    while (my $c = $listener->accept) {
        my $got = '';
        while ($got !~ /\r\n\r\n/) {
            sysread($c, $got, 4096, length $got) or last;
        }
        syswrite $c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
            . "Connection: close\r\n\r\napp\n" if $got !~ m{^\S+ /gone};
    }
    POSIX::_exit(0);
}
close $listener;
END { kill TERM => $backend_pid if $backend_pid }

# ---- the server ----

my $ca = ImxTls->new;
my ($cert, $key) = $ca->issue('IP:127.0.0.1');
my $common = sub {
    my ($dir) = @_;
    return <<"CONF";
ScriptAlias /cgi/ $dir/htdocs/cgi/
ProxyPass /behind/ http://127.0.0.1:$backend/
ProxyPass /dead/ http://127.0.0.1:$dead/
ErrorDocument 410 /gone.html
RewriteEngine On
RewriteRule ^/forbidden - [F]
RewriteRule ^/removed - [G]
RewriteRule ^/elsewhere /index.html [R=302]
RewriteRule ^/inside /index.html
<Location /lua>
LuaHookAccessChecker $dir/check.lua check
</Location>
<Location /auth>
AuthType Basic
AuthName imx
AuthBasicProvider file
AuthUserFile $dir/users
Require valid-user
</Location>
<Location /small>
LimitRequestBody 100
</Location>
CONF
};

my $h = httpd(module => 1, influx => $db, children => 1, threads => 32,
    modules => [qw(alias auth_basic authn_core authn_file authz_user cgid
        deflate dir filter headers http2 include logio lua proxy proxy_http
        reqtimeout rewrite ssl unique_id)], start => 0,
    conf => sub {
        my $dir = $_[0]->dir;
        return <<"CONF" . $common->($dir);
InfluxMetricsDatabase referee
InfluxMetricsInterval 100ms
InfluxMetricsTags +protocol +scheme
InfluxMetricsFields +server_time +input_time +output_time +ttfb +aborted
InfluxMetricsFields +bytes_received +request_id +tls_version
LogFormat "%{UNIQUE_ID}e %>s %B %D %X %<m %<H %I %O %<U" referee
CustomLog $dir/referee.log referee
RequestReadTimeout header=1 body=1
TraceEnable On
LuaScope thread
ProxyTimeout 5
<Directory $dir/htdocs/cgi>
Options +ExecCGI
</Directory>
<Directory $dir/htdocs/parts>
Options +Includes
SetOutputFilter INCLUDES
</Directory>
<Directory $dir/htdocs/packed>
SetOutputFilter DEFLATE
</Directory>
CONF
    },
    vhosts => [
        'h2.test' => sub { "Protocols h2c http/1.1\n"
            . "CustomLog $_[0]{dir}/referee.log referee\n"
            . $common->($_[0]{dir}) },
        'tls.test' => sub { "Protocols http/1.1\nSSLEngine on\n"
            . "SSLCertificateFile $cert\nSSLCertificateKeyFile $key\n"
            . "CustomLog $_[0]{dir}/referee.log referee\n"
            . "SSLCACertificateFile @{[$ca->file]}\n"
            . "<Location /certificate>\nSSLVerifyClient require\n</Location>\n"
            . $common->($_[0]{dir}) },
    ]);
$h->put('check.lua', <<'LUA');
require 'apache2'
function check(r)
    r:requestbody()
    if (r.args or ''):match('deny') then return 403 end
    return apache2.DECLINED
end
LUA
$h->put('users', "nobody:x\n");
$h->put('htdocs/cgi/app', ImxApp::cgi(), 0755);
$h->put('htdocs/cgi/odd', <<'CGI', 0755);
#!/usr/bin/perl
my $do = $ENV{QUERY_STRING};
print "Location: /index.html\r\n\r\n" if $do eq 'redirect';
print "Status: $do\r\nContent-Type: text/plain\r\n\r\nodd\n" if $do =~ /^\d/;
print "nonsense\n" if $do eq 'nonsense';
kill KILL => $$ if $do eq 'killed';
CGI
$h->put('htdocs/gone.html', "it is gone\n");
$h->put('htdocs/empty.txt', '');
$h->put('htdocs/big', 'x' x (8 * 1024 * 1024));
$h->put("htdocs/$_/index.html", "$_\n") for qw(sub lua small auth certificate);
$h->put('htdocs/packed/text.txt', 'packed ' x 1000);
$h->put('htdocs/parts/page.html', '<!--#include virtual="/cgi/app" -->'
    . '<!--#include virtual="/none" -->');
$h->start;

# ---- the kinds ----

sub head {
    my ($method, $path, $more) = @_;
    return "$method $path HTTP/1.1\r\nHost: imx.test\r\n"
        . ($more // $close) . "\r\n";
}

sub body {
    my ($path, $bytes, $more) = @_;
    return head('POST', $path, $close . 'Content-Length: ' . length($bytes)
        . "\r\n" . ($more // '')) . $bytes;
}

# Leaves: what httpd sees of it is an error when it writes or reads.
my %leaves = (read => 0, rcvbuf => 4096);
my $hundred = 'b' x 100;

# name => what is sent (text, or a sub that does it), how, and what else the
# points must say: aborted, received (bytes of the body).
my @kinds = (
    file => [head('GET', '/index.html')],
    nothing => [head('GET', '/empty.txt')],
    HEAD => [head('HEAD', '/index.html')],
    'HEAD of a CGI' => [head('HEAD', '/cgi/app')],
    'not found' => [head('GET', '/none')],
    'an error document' => [head('GET', '/removed')],
    forbidden => [head('GET', '/forbidden')],
    'redirected by the client' => [head('GET', '/elsewhere')],
    'redirected inside' => [head('GET', '/inside')],
    'a directory' => [head('GET', '/sub/')],
    'a directory without its slash' => [head('GET', '/sub')],
    'not modified' => [head('GET', '/index.html', $close
        . "If-Modified-Since: Tue, 01 Jan 2099 00:00:00 GMT\r\n")],
    'a range' => [head('GET', '/index.html', "${close}Range: bytes=2-5\r\n")],
    'no such range' => [head('GET', '/index.html',
        "${close}Range: bytes=500-600\r\n")],
    TRACE => [head('TRACE', '/index.html')],
    'OPTIONS *' => [head('OPTIONS', '*')],
    OPTIONS => [head('OPTIONS', '/index.html')],
    'a method of nobody' => [head('FETCH', '/index.html')],
    DELETE => [head('DELETE', '/index.html')],
    CONNECT => [head('CONNECT', 'imx.test:443')],
    'an absolute address' => [head('GET', 'http://imx.test/index.html')],
    'HTTP/1.0' => ["GET /index.html HTTP/1.0\r\n\r\n"],
    'HTTP/1.7' => ["GET /index.html HTTP/1.7\r\nHost: x\r\n$close\r\n"],
    'HTTP/4.2' => ["GET /index.html HTTP/4.2\r\nHost: x\r\n$close\r\n"],
    'no Host' => ["GET / HTTP/1.1\r\n$close\r\n"],
    'two Hosts' => ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n$close\r\n"],
    'a bad Host' => ["GET / HTTP/1.1\r\nHost: a b\r\n$close\r\n"],
    'a header without a colon' => [head('GET', '/', "nonsense\r\n$close")],
    'a line that is no request' => ["nonsense\r\n\r\n"],
    'a path that leads out' => [head('GET', '/%2e%2e/%2e%2e/x')],
    'a path with a zero byte' => [head('GET', '/a%00b')],
    'too long a path' => [head('GET', '/' . 'x' x 9000)],
    'too long a header' => [head('GET', '/', 'X: ' . 'x' x 9000
        . "\r\n$close")],
    'too many headers' => [head('GET', '/', "X: x\r\n" x 120 . $close)],
    'half a header' => ["GET / HTTP/1.1\r\nHost: imx.test\r\n",
        timeout => 5],
    'half a line' => ['GET /ind', timeout => 5],
    'a refused length' => [head('POST', '/cgi/app',
        "${close}Content-Length: -5\r\n")],
    'two ways to say the length' => [head('POST', '/cgi/app?read', $close
        . "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")
        . "3\r\nabc\r\n0\r\n\r\n", received => 3],
    'an encoding of nobody' => [head('POST', '/cgi/app?read',
        "${close}Transfer-Encoding: nonsense\r\n")],
    'an expectation of nobody' => [head('GET', '/',
        "${close}Expect: nonsense\r\n")],
    'a body' => [body('/cgi/app?read', $hundred), received => 100],
    'an empty body' => [body('/cgi/app?read', ''), received => 0],
    'a body for a file' => [body('/index.html', $hundred), received => 100],
    'a body with GET' => [body('/cgi/app?read', $hundred) =~ s/POST/GET/r,
        received => 100],
    'a body in chunks' => [head('POST', '/cgi/app?read',
        "${close}Transfer-Encoding: chunked\r\n")
        . "5\r\nabcde\r\n6\r\nabcdef\r\n0\r\n\r\n", received => 11],
    'a bad chunk' => [head('POST', '/cgi/app?read',
        "${close}Transfer-Encoding: chunked\r\n") . "zz\r\nabc\r\n"],
    'too large a body' => [body('/small/index.html', 'b' x 500)],
    'a body that does not come' => [substr(body('/cgi/app?read', $hundred), 0,
        -50), timeout => 5],
    'half a body' => [substr(body('/cgi/app?read', $hundred), 0, -50),
        half_close => 1, aborted => 1, received => 50],
    'a body for an access checker' => [body('/lua/index.html', $hundred),
        received => 100],
    'a body for an access checker that refuses' => [
        body('/lua/index.html?deny', $hundred), received => 100],
    'half a body for an access checker' => [substr(body('/lua/index.html',
        $hundred), 0, -50), half_close => 1, aborted => 1, received => 50],
    'no password' => [head('GET', '/auth/index.html')],
    'a wrong password' => [head('GET', '/auth/index.html',
        "${close}Authorization: Basic bm9ib2R5Om5vbnNlbnNl\r\n")],
    CGI => [head('GET', '/cgi/app')],
    'a CGI that redirects' => [head('GET', '/cgi/odd?redirect')],
    (map { ("a CGI's status $_" => [head('GET', "/cgi/odd?$_")]) }
        qw(204 299 304 418 498 520)),
    'a CGI without a header' => [head('GET', '/cgi/odd?nonsense')],
    'a CGI that is killed' => [head('GET', '/cgi/odd?killed')],
    'a CGI that is not there' => [head('GET', '/cgi/none')],
    'a slow CGI' => [head('GET', '/cgi/app?app=0.1')],
    'a slow CGI in pieces' => [head('GET', '/cgi/app?late=0.1')],
    'included parts' => [head('GET', '/parts/page.html')],
    compressed => [head('GET', '/packed/text.txt',
        "${close}Accept-Encoding: gzip\r\n")],
    'an upgrade to h2c' => [head('GET', '/index.html',
        "Connection: Upgrade\r\nUpgrade: websocket\r\n$close")],
    pipelined => [head('GET', '/index.html', '') x 3
        . head('GET', '/none'), requests => 4],
    'a client that leaves' => [head('GET', '/big'), %leaves, aborted => 1],
    'a client that leaves a CGI' => [head('GET', '/cgi/app?big=9000000'),
        %leaves, aborted => 1],
    'a backend' => [head('GET', '/behind/x')],
    'a backend that nobody is' => [head('GET', '/dead/x')],
    'a backend that closes' => [head('GET', '/behind/gone')],
    'a backend that closes, the second request' => [
        head('GET', '/index.html', '') . head('GET', '/behind/gone', ''),
        requests => 2],
    'HTTP on the port of TLS' => [head('GET', '/index.html'), to => 'tls.test'],
    'TLS on the port of HTTP' => ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03"
        . "\r\n\r\n"],
    'over TLS' => [sub { curl('/index.html') }],
    'over TLS, not found' => [sub { curl('/none') }],
    'over TLS 1.2, no certificate' => [sub {
        curl('/certificate/index.html', '--tls-max', '1.2') }],
    'over TLS 1.3, no certificate' => [sub {
        curl('/certificate/index.html') }],
    (map { my ($method, $path) = @$_; ("HTTP/2: $method $path" => [sub {
        h2($method, $path) }, h2 => 1]) } ['GET', '/index.html'],
        ['HEAD', '/index.html'], ['GET', '/none'], ['GET', '/removed'],
        ['GET', '/forbidden'], ['GET', '/cgi/app?late=0.1'],
        ['GET', '/dead/x'], ['DELETE', '/index.html'],
        ['FETCH', '/index.html']),
    'HTTP/2: a body' => [sub { h2('POST', '/cgi/app?read', $hundred) },
        h2 => 1, received => 100],
    'HTTP/2: a backend that closes' => [sub { h2('GET', '/behind/gone') },
        h2 => 1, requests => 2],
    'HTTP/2: taken back' => [sub { taken_back() }, h2 => 1, aborted => 1],
);

sub curl {
    my ($path, @flags) = @_;
    ImxCurl::ask('https://127.0.0.1:' . $h->port('tls.test') . $path,
        flags => ['-k', '--http1.1', @flags]);
}

sub h2 {
    my ($method, $path, $body) = @_;
    my $c = ImxH2->new($h->port('h2.test'));
    my $id = $c->request($method, $path, {}, open => defined $body);
    $c->data($id, $body, end => 1) if defined $body;
    $c->wait($id, 10);
    $c->leave;
}

# The answer comes when nobody wants it any more.
sub taken_back {
    my $c = ImxH2->new($h->port('h2.test'));
    my $id = $c->request('GET', '/cgi/app?app=0.2');
    nap(0.05);
    $c->cancel($id);
    my $before = referee();
    wait_until(10, sub { referee() > $before });
    $c->leave;
}

sub referee { return my @lines = split /\n/, slurp($h->dir . '/referee.log') }

# One after the other, so that it is known which lines belong to a kind.
my @lines;                      # [kind, its words, line]
sub play {
    my ($name, $kind) = @_;
    my ($what, %o) = @$kind;
    my $before = referee();
    ref $what ? $what->() : raw($h->port($o{to}), $what, %o);
    my $wanted = $before + ($o{requests} // 1);
    wait_until(10, sub { referee() >= $wanted });
    my @all = referee();
    push @lines, [$name, \%o, $_] for @all[$before .. $#all];
    is(scalar @all, $wanted, "$name: as many lines as requests");
}

for my $i (1 .. $times) {
    my @left = @kinds;
    while (my ($name, $kind) = splice @left, 0, 2) {
        play($name, $kind);
    }
}
cmp_ok(scalar @lines, '>=', 150, scalar(@lines) . ' odd requests');
count_is($db, scalar @lines, 'a point for each line', database => 'referee');

# ---- the judgement ----

# mod_unique_id's hook is not called for what is refused while it is read.  The
# kinds come one after the other, so these have the order of the log.
my @points = sort { $a->{time} <=> $b->{time} }
    $db->query('SELECT * FROM "raw-requests"', 'referee');
my %by_id = map { $_->{request_id} => $_ }
    grep { defined $_->{request_id} } @points;
my @without_id = grep { !defined $_->{request_id} } @points;
is(scalar @without_id, scalar(grep { $_->[2] =~ /^- / } @lines),
    'as many without an id');
my %known = map { $_ => 1 } qw(GET HEAD POST PUT DELETE OPTIONS TRACE CONNECT);

sub judge {
    my ($o, $line) = @_;
    my ($id, $status, $bytes, $us, $x, $method, $protocol, $in,
        $out, $path) = split / /, $line, 10;
    my $p = ($id ne '-' ? $by_id{$id} : shift @without_id)
        or return 'no point';
    my @wrong;
    my $is = sub {
        my ($name, $got, $expected) = @_;
        push @wrong, sprintf '%s is %s, not %s', $name, $got // 'nothing',
            $expected if ($got // '') ne $expected;
    };
    $is->(status => $p->{status}, $status);
    $is->(bytes_sent => $p->{bytes_sent}, $method eq 'HEAD' ? 0 : $bytes);
    $is->(method => $p->{method}, $known{$method} ? $method : 'OTHER');
    $is->(protocol => $p->{protocol}, $protocol)
        if $protocol =~ m{^HTTP/(?:1\.[01]|2\.0)$};
    push @wrong, "request_time is $p->{request_time}, %D $us"
        if abs($p->{request_time} * 1e6 - $us) > 20_000;
    my $aborted = $o->{aborted} || ($x eq 'X' && !$o->{h2});
    $is->(aborted => $p->{aborted} ? 1 : 0, $aborted ? 1 : 0);
    $is->(bytes_received => $p->{bytes_received}, $o->{received})
        if defined $o->{received};
    push @wrong, 'more bytes in the body than came in'
        if !$o->{h2} && ($p->{bytes_received} // 0) > $in;
    push @wrong, 'more bytes in the body than went out'
        if !$o->{h2} && !$aborted && $p->{bytes_sent} > $out;
    push @wrong, 'ttfb though nothing was sent'
        if !$o->{h2} && !$out && defined $p->{ttfb};
    my $sum = 0;
    $sum += $p->{$_} // 0 for qw(server_time application_time input_time
        output_time);
    push @wrong, "the phases are $sum of $p->{request_time}"
        if abs($sum - $p->{request_time}) > 6e-6;
    return join ', ', @wrong;
}

my %wrong;
for (@lines) {
    my ($name, $o, $line) = @$_;
    my $why = judge($o, $line);
    $wrong{$name}{$why} = $line if $why ne '';
}
is(scalar keys %wrong, 0, 'all alike') or diag map {
    my $name = $_;
    map { "$name: $_\n    $wrong{$name}{$_}\n" } sort keys %{ $wrong{$name} }
} sort keys %wrong;

# A renegotiation that is refused takes TLS away before the request is logged.
# (What is no TLS on that port has status 400.)
my @tls = grep { $_->{status} != 400 }
    grep { $_->{server} eq 'tls.test' } @points;
cmp_ok(scalar @tls, '>=', 4 * $times, 'requests over TLS');
is_deeply([map { "$_->{status}: $_->{scheme}, " . ($_->{tls_version} // '') }
    grep { $_->{scheme} ne 'https' || ($_->{tls_version} // '') !~ /^TLSv1\./ }
    @tls], [], 'scheme and tls_version are those of TLS');
is_deeply([grep { /exit signal/ } $h->error_log], [], 'no crash');

finish();

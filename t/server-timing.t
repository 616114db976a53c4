# InfluxMetricsServerTiming: the header that developer tools draw, for whoever
# is to see it, and no header else; and what a browser makes of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxApp;
use ImxTest;
use Test::More;
use Time::HiRes qw(time);

my $db = influxd();
my $h = httpd(module => 1, influx => $db, children => 2, start => 0,
    modules => [qw(alias cgid deflate filter headers http2 include proxy
        proxy_http rewrite wsgi)],
    conf => sub { my ($dir, $port) = ($_[0]->dir,
        $_[0]->port('behind.test')); <<"CONF" },
Protocols h2c http/1.1
InfluxMetricsServerTiming On
InfluxMetricsFields +server_time +ttfb +uri
ScriptAlias /cgi/ $dir/htdocs/cgi/
WSGIScriptAlias /wsgi $dir/app.wsgi
WSGIApplicationGroup %{GLOBAL}
ProxyPass /proxy/ http://127.0.0.1:$port/
Alias /own $dir/htdocs/index.html
Alias /own-always $dir/htdocs/index.html
<Location /own>
Header set Server-Timing "db;dur=5"
</Location>
<Location /own-always>
Header always set Server-Timing "db;dur=5"
</Location>
ErrorDocument 404 /cgi/app?app=0.05
ErrorDocument 503 "text
Alias /refused $dir/htdocs/index.html
<Location /refused>
Header set X-Y "a\x01b"
ErrorDocument 500 /cgi/app?app=0.1
</Location>
RewriteEngine On
RewriteRule ^/redirect\$ /index.html [R=302]
<Location /off>
InfluxMetricsServerTiming Off
</Location>
<Location /not-recorded>
InfluxMetrics Off
</Location>
<If "-z %{HTTP:X-Staff} && %{REQUEST_URI} =~ m#^/staff#">
InfluxMetricsServerTiming Off
</If>
<Directory $dir/htdocs/parts>
Options +Includes
SetOutputFilter INCLUDES;DEFLATE
</Directory>
CONF
    vhosts => ['behind.test' => sub { "Header always set Server-Timing "
        . "\"inner;dur=1\"\nInfluxMetrics Off\nScriptAlias / $_[0]{dir}/htdocs/cgi/" },
        'plain.test' => 'InfluxMetricsServerTiming Off']);
$h->put('app.wsgi', ImxApp::wsgi());
mkdir $h->docroot . "/$_" for qw(cgi off not-recorded staff parts);
$h->put('htdocs/cgi/app', ImxApp::cgi(), 0755);
$h->put('htdocs/cgi/bad', "#!/bin/sh\nexit 1\n", 0755);
$h->put("htdocs/$_/file", "file\n") for qw(off not-recorded staff);
$h->put('htdocs/parts/page', 'a<!--#include virtual="/cgi/app?app=0.1" -->b');
$h->put('htdocs/page.html', <<'HTML');
<!DOCTYPE html><title>t</title><p id="p"></p><script>
addEventListener('load', function () { setTimeout(function () {
  document.getElementById('p').textContent = 'timing ' + performance
    .getEntriesByType('navigation')[0].serverTiming
    .map(function (t) { return t.name + '=' + t.duration }).join(' ');
}, 0) })
</script>
HTML
$h->start;

# Header lines of an answer: status, and all lines of Server-Timing.
sub ask {
    my ($path, @flags) = @_;
    open my $p, '-|', 'curl', '-sS', '-i', '--max-time', 20 * slow(), @flags,
        '--', $path =~ /^http:/ ? $path : $h->url($path)
        or die "curl: $!";
    my $answer = do { local $/; <$p> };
    close $p;
    my ($header) = split /\r\n\r\n/, $answer, 2;
    my ($status) = $header =~ m{^HTTP/\S+ (\d+)};
    return ($status, join(', ', $header =~ /^Server-Timing: (.*?)\r?$/mgi),
        $answer);
}

my $ours = qr/server;dur=(\d+\.\d\d), app;dur=(\d+\.\d\d)/;

# Everything that answers.
for my $case (
    ['a file', '/index.html', 200, 0],
    ['HEAD', '/index.html', 200, 0, '-I'],
    ['HTTP/2', '/index.html', 200, 0, '--http2-prior-knowledge'],
    ['HTTP/1.0', '/index.html', 200, 0, '--http1.0'],
    ['CGI', '/cgi/app?app=0.2', 200, 200],
    ['CGI over HTTP/2', '/cgi/app?app=0.2', 200, 200,
        '--http2-prior-knowledge'],
    ['CGI, in pieces', '/cgi/app?app=0.1&late=0.2', 200, 100],
    ['mod_wsgi', '/wsgi/app?app=0.2', 200, 200],
    ['parts, packed', '/parts/page', 200, 100, '--compressed'],
    ['a body', '/cgi/app?read&app=0.1', 200, 100, '-d', 'x=1'],
    ['a part of a file', '/index.html', 206, 0, '-r', '0-3'],
    ['an error document', '/no-such', 404, 50],
    ['a script that fails', '/cgi/bad', 500, 0],
    ['an error document for a file', '/refused', 500, 100],
) {
    my ($name, $path, $status, $least, @flags) = @$case;
    my ($got, $timing) = ask($path, @flags);
    is($got, $status, "$name: $status");
    my ($server, $app) = $timing =~ /^$ours$/;
    ok(defined $app, "$name: has it") or diag("$timing");
    cmp_ok($app // -1, '>=', $least, sprintf '%s: %s', $name, $timing);
    # Up to the first output: what comes later is not in it.
    cmp_ok($app // 1e9, '<', $least + 150 * slow(), "$name: no more than that")
        if $name =~ /pieces/;
}

# What the application says stays, in front.
for my $path ('/own', '/own-always') {
    my (undef, $timing) = ask($path);
    like($timing, qr/db;dur=5/, "$path: the application's own stays");
    like($timing, qr/$ours/, "$path: ours, too");
}
my (undef, $behind) = ask('/proxy/app?app=0.2');
like($behind, qr/^inner;dur=1, $ours$/, "a proxy's backend: $behind");
($behind) = $behind =~ /app;dur=([\d.]+)/;
cmp_ok($behind, '>=', 200, '... whose time is the application\'s');

# Who is not to see it.
is((ask('/off/file'))[1], '', 'Off for a place');
is((ask('/not-recorded/file'))[1], '', 'where InfluxMetrics is Off');
is((ask($h->url('/index.html', 'plain.test')))[1], '', 'Off for a host');
is((ask('/staff/file'))[1], '', 'excluded by <If>');
like((ask('/staff/file', '-H', 'X-Staff: 1'))[1], qr/^$ours$/,
    '... and those who are not');
is((ask('/redirect'))[1], '', 'what no handler answered');

# A 304 has few headers, and is one.
my ($etag) = (ask('/index.html'))[2] =~ /^ETag: (.*?)\r$/mi;
my ($status, undef, $answer) = ask('/index.html', '-H',
    "If-None-Match: $etag");
is($status, 304, 'unchanged: 304');
unlike($answer, qr/\r\n\r\n./s, '... without a body');

# As the points say: a request's times, in milliseconds.
(undef, my $timing) = ask('/cgi/app/point?app=0.3');
my @p;
wait_until(20, sub { @p = $db->query('SELECT * FROM "raw-requests" WHERE '
    . q{uri = '/cgi/app/point'}) });
my ($server, $app) = $timing =~ /$ours/;
cmp_ok(abs($server - 1000 * $p[0]{server_time}), '<=', 0.011,
    'server is server_time');
cmp_ok(abs($app - 1000 * ($p[0]{ttfb} - $p[0]{server_time})), '<=', 0.03 * slow(),
    'app goes up to the first output');

# A client that sends its body late.
my $slow = raw($h->port, "POST /cgi/app?read HTTP/1.1\r\nHost: imx.test\r\n"
    . "Connection: close\r\nContent-Length: 4\r\n\r\nbody",
    pause => [88, 0.6]);
($app) = $slow =~ /app;dur=([\d.]+)/;
cmp_ok($app, '<', 400 * slow(), "... without waiting for the body: $app");

# A browser.
SKIP: {
    my $chromium = which_one('chromium', 'chromium-browser', 'google-chrome')
        or skip 'chromium is not installed', 1;
    my $home = work_dir() . '/chromium';
    mkdir $home;
    open my $p, '-|', "HOME=$home timeout " . 60 * slow() . " $chromium "
        . '--headless --no-sandbox --disable-gpu --disable-dev-shm-usage '
        . "--user-data-dir=$home/data --virtual-time-budget=3000 --dump-dom "
        . $h->url('/page.html') . " 2>$home/errors" or die "chromium: $!";
    my $dom = do { local $/; <$p> } // '';
    close $p;
    like($dom, qr/timing server=[\d.]+ app=[\d.]+</,
        'PerformanceServerTiming has both')
        or diag(slurp("$home/errors"));
}

ok($h->stop, 'stops');
is_deeply([grep { !/bad|cgid:error|AH02430/ } $h->complaints], [], 'no complaints');
finish();

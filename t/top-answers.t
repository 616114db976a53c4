# influx-metrics-top, when what it asks is no page, or not this one, or none that
# answers in time: one sentence, and 3. Passwords, and certificates.
use strict;
use warnings;
use Encode qw(decode);
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTerminal;
use ImxTest;
use ImxTls;
use JSON::PP qw(encode_json);
use MIME::Base64 qw(encode_base64);
use Test::More;
use Time::HiRes qw(time);

sub page {
    my ($level, %more) = @_;
    return answer(200, encode_json({ words => [{ level => $level, todo => 'Do.',
        what => 'So it is.', id => 'IMX0001' }], %more }));
}

# Nobody has closed four of these seconds: their requests are in the one behind.
my @gap = (words => [{ level => 'well', what => 'So it is.' }], sequence => 8,
    seconds => { requests => [10, 10, undef, undef, undef, undef, 50, 10] });

my $deep = '{"words":' . '[' x 100_000;
my $odd = encode_json({ words => [{ level => {}, what => 7, todo => ['x'] }, 9,
    { level => 'critical', what => "a|b\e[31m" }], hosts => [7, { name => [1],
    requests => 'x', style => 'y', errors => {} }, { name => 'n' x 9000,
    requests => -5, p99 => 1e300, busy => undef }],
    total => { objective => { time => 'x', percent => -1, minutes5 => 7,
    hour => { good => 5, total => 1e-307, burn => 'x' } } }, workers => 3,
    slow => [{}], processes => [{ pid => 1.5, cpu_user => 1e17 }, undef],
    seconds => { requests => [-1, {}, 3], hosts => { a => 1, b => {} } },
    time => 1e17, uptime => -1, sequence => 'x', httpd => { name => "\x{9b}x" },
    points_sent => 1e17 });

# Answers, and what is said: a sentence for UNKNOWN, and the exit status.
my %case = (
    well => [page('well'), 0, qr/\AWELL: So it is\. Do\. IMX0001\n/],
    warning => [page('warning'), 1, qr/\AWARNING: So it is\. /],
    critical => [page('critical'), 2, qr/\ACRITICAL: So it is\. /],
    odd => [answer(200, $odd), 2, qr/^CRITICAL: a\x{a6}b\x{fffd}\[31m$/m],
    objective => [page('well', total => { objective => { time => 0.5,
        percent => 99.9, hour => { seconds => 3570, good => 2999, total => 3000,
        burn => 0.3333 }, minutes5 => { seconds => 300, good => 0, total => 0,
        burn => undef } } }), 0, qr/^objective\ 500\ ms,\ 99\.9\ %:\ 99\.966\ %\ in
        \ the\ last\ hour,\ burn\ rate\ 0\.3;\ -\ in\ the\ last\ 5\ min\n
        (?s:.*)^\|\ burn_1h=0\.333\ /mx],
    unnamed => [page('splendid'), 1, qr/\AWARNING: So it is/],
    moved => [answer(301, '', "Location: http://else.example/\x07x"), 3,
        qr{leads to http://else\.example/.x\. Please give that address\.}],
    none => [answer(404, 'no'), 3, qr/has answered 404\. Is this the Location/],
    secret => [answer(401, 'no'), 3, qr/asks for a user and a password/],
    closed => [answer(403, 'no'), 3, qr/see Require/],
    broken => [answer(500, 'no'), 3, qr/has answered 500\./],
    sentence => [answer(404, '{"error":"Nothing is recorded."}'), 3,
        qr/says: Nothing is recorded\./],
    html => [answer(200, '<html>', 'Content-Type: text/html; charset=x'), 3,
        qr{is another page \(text/html\): it is not the one of SetHandler}],
    other => [answer(200, '{"name":"x"}'), 3, qr/is another page/],
    cut => [answer(200, '{"words":['), 3, qr/is another page/],
    deep => [answer(200, $deep), 3, qr/is another page/],
    bytes => [answer(200, "\xff\xfe\x00"), 3, qr/is another page/],
    garbage => [{ bytes => "\x1b[31m\r\n\r\n", close => 1 }, 3,
        qr/does not answer as a web server does/],
    silent => [{ hang => 1 }, 3, qr/has not answered within 2\.00 s\. All work/],
    slow => [{ %{ page('well') }, pause => 0.2 }, 3, qr/has not answered within/],
    endless => [{ bytes => "HTTP/1.1 200 OK\r\n\r\n", endless => 'x' x 65536 },
        3, qr/is another page: .* more than 16 MB|has not answered within/],
);
my $s = ImxStandin->new(gap => sub { return answer(200, encode_json({ @gap })) },
    map { my $a = $case{$_}[0]; $_ => sub { return $a } } keys %case);
for my $name (sort keys %case) {
    my (undef, $wanted, $says) = @{ $case{$name} };
    $s->mode($name);
    my $begin = time;
    my ($status, $text) = top_runs({}, '--once', '--timeout',
        $wanted < 3 ? 20 : 2, $s->url);
    $text = decode('UTF-8', $text);
    is($status, $wanted, "$name: the exit status");
    like($text, $says, '... the sentence');
    ok($text !~ /[^\n\x20-\x7e\x{a6}\x{b5}\x{2026}\x{fffd}]|Traceback/,
        '... and nothing else') or diag substr $text, 0, 300;
    is((top_runs({}, '--json', '--timeout', 20, $s->url))[0], $wanted,
        '... and so ends --json') if $wanted < 3;
    next if $wanted < 3;
    like($text, qr/\AUNKNOWN: /, '... behind UNKNOWN');
    is($text =~ tr/\n//, 1, '... in one line');
    cmp_ok(time - $begin, '<', 15 * slow(), '... in time');
}

# The view: the same at its begin, and figures of any kind.
SKIP: {
    skip 'python3-pyte is not installed', 7 if !has_terminal();
    $s->mode('html');
    my $t = ImxTerminal->new(arguments => [$s->url]);
    ok(wait_until(20, sub { defined $t->status }), 'the view ends');
    is($t->status, 3, '... with 3');
    like($t->screen, qr/^influx-metrics-top: .* is another\s+page/, '... and why');
    $s->mode('odd');
    $t = ImxTerminal->new(arguments => [$s->url, '--interval', 0.1]);
    ok($t->until(20, qr/^q end/m), 'figures of any kind are shown')
        or diag $t->screen;
    $t->keys($_), $t->until(5, qr/q end/) for qw(r e m 5 9 b n R), "/n\r";
    ok(!defined $t->status, '... and it goes on') or diag $t->screen;
    $t->keys('q');
    ok(wait_until(20, sub { defined $t->status }), 'ends');
    $s->mode('gap');
    $t = ImxTerminal->new(arguments => [$s->url, '--interval', 60]);
    # Each time it asks, this page says the same once more.
    ok($t->until(20, qr{^req/s (?:\x{2588}{2} {4}\x{2588}{2})+ +most 10 in \d+ s}m),
        'requests of seconds that nobody closed are no peak') or diag $t->screen;
}

# ---- who asks ----

sub authorization { return ($s->requests)[-1]{headers}{authorization} }

$s->mode('well');
my $address = $s->url =~ s{^http://}{}r;
top_runs({}, '--once', "http://user:p%40ss@" . $address);
is(authorization(), 'Basic ' . encode_base64('user:p@ss', ''), 'user in the URL');
my $home = work_dir() . '/home';
mkdir $home;
spew("$home/.netrc", "machine 127.0.0.1 login me password secret\n");
chmod 0600, "$home/.netrc";
top_runs({ HOME => $home }, '--once', $s->url);
is(authorization(), 'Basic ' . encode_base64('me:secret', ''), '~/.netrc');
spew("$home/.netrc", "machine\n");
my ($status, $text) = top_runs({ HOME => $home }, '--once', $s->url);
like($text, qr/\AUNKNOWN: ~\/\.netrc cannot be read: /, 'a wrong one is named');
top_runs({ HOME => "$home/none" }, '--once', $address);
is(authorization(), undef, 'else none');
like(($s->requests)[-1]{path}, qr{^/influx-metrics\?json}, 'the usual path');
($status, $text) = top_runs({}, '--once', "http://user:pass\@127.0.0.1:9/x");
like($text, qr{^UNKNOWN: Nobody listens at 127\.0\.0\.1:9\.}, 'nobody there');
unlike($text, qr/pass/, '... without the password');
for my $wrong ('ftp://x/', 'http://', 'http://x:port/', 'http://[x/') {
    ($status, $text) = top_runs({}, '--once', $wrong);
    like($text, qr/\AUNKNOWN: .* is no address of a page/, $wrong);
}

# ---- https ----

my $ca = ImxTls->new;
my ($cert, $key) = $ca->issue('IP:127.0.0.1');
my $front = ImxTls::front($s, good => [$cert, $key]);
my $url = ImxTls::url($front, 'good') . '/';
($status, $text) = top_once($url);
is($status, 3, 'a certificate of an unknown authority');
like($text, qr/certificate of \S+ is not trusted: .*--ca-file/, '... is said');
is((top_once('--ca-file', $ca->file, $url))[0], 0, '--ca-file');
is((top_once('--insecure', $url))[0], 0, '--insecure');
($status, $text) = top_once('--ca-file', $ca->file, $url =~ s/127.0.0.1/localhost/r);
like($text, qr/\AUNKNOWN: .*not trusted|\AUNKNOWN: .*not valid for/, 'another name');
($status, $text) = top_once('--ca-file', "$home/none", $url);
like($text, qr/\AUNKNOWN: --ca-file .* cannot be used/, 'no such file');
($status, $text) = top_once('https://127.0.0.1:' . $front->port);
like($text, qr/\AUNKNOWN: .*does not speak TLS/, 'no TLS there');
ok($front->stop, 'stops');
finish();

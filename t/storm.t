# Clients without manners: pipelines of random requests, cut somewhere, closed,
# reset or half closed, HTTP/2 beside them, and graceful restarts meanwhile.
# What the access log has is a point, and nothing else is.
#
# IMX_SECONDS: for each MPM; IMX_SEED: what the clients do, said when it fails.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{IMX_SECONDS} || 3;
my $seed = $ENV{IMX_SEED} || time;
my $h2load = which_one('h2load') or die 'h2load (nghttp2-client) is missing';
my $db = influxd();
my $behind = httpd();
my @paths = qw(/ /index.html /large /no /page.shtml /location.cgi /broken.cgi
    /behind/large /behind/no /limited);
my @methods = qw(GET GET GET HEAD POST OPTIONS TRACE DELETE BREW);
my @clients;
END { kill KILL => @clients }

sub one_of { $_[rand @_] }
sub sometimes { my ($chance, $text) = @_; rand() < $chance ? $text : '' }

sub request {
    my $method = one_of(@methods);
    my $head = "$method " . one_of(@paths) . " HTTP/1.1\r\nHost: x\r\n"
        . sometimes(0.3, "Accept-Encoding: gzip\r\n")
        . sometimes(0.1, "Range: bytes=1-5\r\n")
        . sometimes(0.05, "Expect: the-worst\r\n")
        . sometimes(0.05, "no header\r\n");
    return "$head\r\n" if $method ne 'POST';
    return $head . one_of("Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
}

sub visit {
    my ($port) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
        Timeout => 5) or return;
    my $text = join '', map { request() } 0 .. rand 8;
    $text = substr $text, 0, rand length $text if rand() < 0.2;
    syswrite $s, $text;
    my $way = rand;
    return if $way < 0.3;
    if ($way < 0.6) {                   # a reset, with bytes unread
        sysread $s, my $some, rand 5000;
        setsockopt $s, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
        return;
    }
    shutdown $s, 1;
    my $ready = IO::Select->new($s);
    1 while $ready->can_read(2) && sysread $s, my $rest, 65536;
}

# A process that does something again and again, until it is time.
sub keep_on {
    my ($number, $what) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        srand $seed + $number;
        my $end = time + $seconds;
        $what->() while time < $end;
        POSIX::_exit(0);
    }
    push @clients, $pid;
}

sub visit_by_h2 {
    my ($h) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec $h2load, '-n200', '-c4', '-m20', map { $h->url($_) } @paths
            or POSIX::_exit(127);
    }
    select undef, undef, undef, rand;
    kill KILL => $pid if rand() < 0.5;  # with all its streams
    waitpid $pid, 0;
}

sub server {
    my ($mpm) = @_;
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, threads => 8,
        children => $mpm eq 'prefork' ? 12 : 3, start => 0,
        modules => [qw(rewrite include filter deflate proxy proxy_http env
            ratelimit cache cache_disk reqtimeout),
            $mpm eq 'prefork' ? 'cgi' : qw(cgid http2)],
        conf => sub { my $dir = $_[0]->dir; <<"CONF" });
InfluxMetricsDatabase $mpm
Options +ExecCGI +Includes +FollowSymLinks
AddHandler cgi-script .cgi
AddOutputFilter INCLUDES;DEFLATE .shtml
ErrorDocument 404 /page.shtml
ErrorDocument 500 /no
ProxyPass /behind @{[$behind->url('')]}
RewriteEngine On
RewriteRule ^/limited /large [PT]
<Location /limited>
SetOutputFilter RATE_LIMIT
SetEnv rate-limit 3000
</Location>
CacheEnable disk /index.html
CacheRoot $dir/cache
CacheIgnoreNoLastMod On
CacheDefaultExpire 5
RequestReadTimeout header=2 body=2
Timeout 3
@{[$mpm eq 'prefork' ? '' : 'Protocols h2c http/1.1']}
CONF
    mkdir $h->dir . '/cache' and chmod 0777, $h->dir . '/cache';
    $h->put('htdocs/large', 'x' x 300_000);
    $h->put('htdocs/page.shtml', join '', map {
        qq{<!--#include virtual="$_" -->}
    } '/index.html', '/none', '/location.cgi');
    $h->put('htdocs/location.cgi',
        "#!$^X\nprint qq{Location: /index.html\\n\\n};\n", 0755);
    $h->put('htdocs/broken.cgi', "#!$^X\n\$| = 1; print qq{Content-Type: a/b"
        . "\\n\\n}, 'x' x 99999; kill KILL => \$\$;\n", 0755);
    return $h->start;
}

$behind->put('htdocs/large', 'x' x 300_000);
for my $mpm (qw(event worker prefork)) {
    my $h = server($mpm);
    keep_on($_, sub { visit($h->port) }) for 1 .. 8;
    keep_on(9, sub { visit_by_h2($h) }) if $mpm ne 'prefork';
    my $end = time + $seconds;
    while (time < $end) {
        select undef, undef, undef, 1;  # the pace of the restarts
        $h->graceful;
    }
    waitpid $_, 0 for splice @clients;
    cmp_ok($h->access_count, '>', 100, "$mpm: there is a load");
    count_is($db, $h, "$mpm: points = access log", database => $mpm,
        seconds => 30) or diag "IMX_SEED=$seed";
    ok($h->stop, "$mpm: stops");
    is($db->count('raw-requests', $mpm), $h->access_count,
        "$mpm: also after the stop");
    is_deeply([grep { /exit signal/ } $h->error_log], [],
        "$mpm: no child crashed");
    my @odd = grep {
        my $app = $_->{application_time} // 0;
        $app < 0 || $app > $_->{request_time};
    } $db->query('SELECT * FROM "raw-requests"', $mpm);
    is_deeply(\@odd, [], "$mpm: application_time is a part of request_time");
}

finish();

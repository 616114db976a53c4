package ImxStorm;
#
# Clients without manners, pipelines of random requests, cut somewhere, closed,
# reset or half closed, and HTTP/2 beside them; and a server that has all kinds
# of things for them.
#
#   use ImxTest; use ImxStorm;
#
#   my $behind = storm_backend();       # for its proxy
#   my $h = storm_server($mpm, $db, $behind, conf => $text, ...);  # as httpd()
#   storm_begin($h, seconds => 3, seed => 7);
#   ...
#   storm_wait();                       # until all clients have ended
#
use strict;
use warnings;
use Exporter qw(import);
use ImxTest;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);

our @EXPORT = qw(storm_backend storm_server storm_begin storm_wait);

my @paths = qw(/ /index.html /large /no /page.shtml /location.cgi /broken.cgi
    /behind/large /behind/no /limited);
my @methods = qw(GET GET GET HEAD POST OPTIONS TRACE DELETE BREW);
my ($owner, @clients) = $$;
END { kill KILL => @clients if $$ == $owner }

# ---- the server ----

sub storm_backend {
    my $behind = httpd();
    $behind->put('htdocs/large', 'x' x 300_000);
    return $behind;
}

sub _conf {
    my ($h, $behind, $mpm) = @_;
    my $dir = $h->dir;
    return <<"CONF";
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
}

sub storm_server {
    my ($mpm, $db, $behind, %o) = @_;
    my $more = delete $o{conf};
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, threads => 8,
        children => $mpm eq 'prefork' ? 12 : 3, %o, start => 0,
        modules => [qw(rewrite include filter deflate proxy proxy_http env
            ratelimit cache cache_disk reqtimeout),
            $mpm eq 'prefork' ? 'cgi' : qw(cgid http2)],
        conf => sub { _conf($_[0], $behind, $mpm)
            . (ref $more ? $more->($_[0]) : $more // '') });
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

# ---- the clients ----

sub _one_of { $_[rand @_] }
sub _sometimes { my ($chance, $text) = @_; rand() < $chance ? $text : '' }

sub _request {
    my $method = _one_of(@methods);
    my $head = "$method " . _one_of(@paths) . " HTTP/1.1\r\nHost: x\r\n"
        . _sometimes(0.3, "Accept-Encoding: gzip\r\n")
        . _sometimes(0.1, "Range: bytes=1-5\r\n")
        . _sometimes(0.05, "Expect: the-worst\r\n")
        . _sometimes(0.05, "no header\r\n");
    return "$head\r\n" if $method ne 'POST';
    return $head . _one_of("Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
}

sub _visit {
    my ($port) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
        Timeout => 5) or return;
    my $text = join '', map { _request() } 0 .. rand 8;
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

sub _visit_by_h2 {
    my ($h) = @_;
    my $program = which_one('h2load')
        or die 'h2load (nghttp2-client) is missing';
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec $program, '-n200', '-c4', '-m20', map { $h->url($_) } @paths
            or POSIX::_exit(127);
    }
    select undef, undef, undef, rand;
    kill KILL => $pid if rand() < 0.5;  # with all its streams
    waitpid $pid, 0;
}

# A process that does something again and again, until it is time.
sub _keep_on {
    my ($o, $number, $what) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        srand $o->{seed} + $number;
        my $end = time + $o->{seconds};
        $what->() while time < $end;
        POSIX::_exit(0);
    }
    push @clients, $pid;
}

sub storm_begin {
    my ($h, %o) = @_;
    _keep_on(\%o, $_, sub { _visit($h->port) }) for 1 .. 8;
    _keep_on(\%o, 9, sub { _visit_by_h2($h) }) if $h->{mpm} ne 'prefork';
}

sub storm_wait { waitpid $_, 0 for splice @clients }

1;

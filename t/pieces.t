# A response in a hundred thousand pieces takes no more memory of the child than
# one in a few; and a response that cannot be read to its end is told in the log.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use IO::Socket::INET;
use POSIX ();
use Test::More;

my $pieces = $ENV{IMX_PIECES} || 100_000;
my $db = influxd();

# One piece for each byte that comes through the pipe `go`.
my $in_turn = <<'CGI';
#!/usr/bin/perl
$| = 1;
print "Content-Type: text/plain\r\n\r\n";
open my $go, '<', "$ENV{DOCUMENT_ROOT}/go" or die;
while (sysread $go, my $byte, 1) {
    syswrite STDOUT, "piece\n";
}
CGI

# Until it is ended: nobody opens this pipe to write.
my $stuck = <<'CGI';
#!/usr/bin/perl
$| = 1;
print "Content-Type: text/plain\r\n\r\nsome\n";
alarm 60;
open my $never, '<', "$ENV{DOCUMENT_ROOT}/never";
CGI

my $h = httpd(mpm => 'prefork', module => 1, influx => $db, children => 1,
    modules => [qw(alias cgi)], start => 0, conf => sub { <<"CONF" });
InfluxMetricsInterval 100ms
InfluxMetricsFields +aborted
ScriptAlias /cgi/ $_[0]{dir}/htdocs/cgi/
CONF
$h->put('htdocs/cgi/in_turn', $in_turn, 0755);
$h->put('htdocs/cgi/stuck', $stuck, 0755);
for my $pipe (map { $h->docroot . "/$_" } qw(go never)) {
    POSIX::mkfifo($pipe, 0666) or die "mkfifo: $!";
    chmod 0666, $pipe;
}
$h->start;

sub rss {
    my ($pid) = @_;
    return slurp("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m ? $1 : 0;
}

# Asks for $n pieces, one after the other, and returns how many came.
my ($socket, $go, $got);
sub take {
    my ($n) = @_;
    for my $i (1 .. $n) {
        syswrite $go, '.';
        my $piece = '';
        while ($piece !~ /piece\n\r\n/) {
            sysread $socket, $piece, 4096, length $piece or return $i - 1;
        }
    }
    return $n;
}

subtest 'the memory of a child' => sub {
    plan skip_all => 'AddressSanitizer keeps freed memory' if $ENV{IMX_PRELOAD};
    $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $h->port, Timeout => 20) or die "connect: $!";
    syswrite $socket, "GET /cgi/in_turn HTTP/1.1\r\nHost: imx.test\r\n"
        . "Connection: close\r\n\r\n";
    open $go, '>', $h->docroot . '/go' or die "go: $!";
    my ($child) = $h->children;
    is(take(1000), 1000, 'a thousand pieces');
    my $before = rss($child);
    is(take($pieces), $pieces, "$pieces pieces");
    my $grown = rss($child) - $before;
    cmp_ok($grown, '<', 1024, "grown by $grown KB");
    close $go;
    my $rest = do { local $/; <$socket> };
    like($rest, qr/^0\r\n\r\n\z/m, 'the response is whole');
    count_is($db, 1, 'it is a point');
};

subtest 'a script that says no more' => sub {
    $h->reconf(conf => sub { <<"CONF" });
InfluxMetricsInterval 100ms
InfluxMetricsDatabase stuck
InfluxMetricsFields +aborted
ScriptAlias /cgi/ $_[0]{dir}/htdocs/cgi/
CGIScriptTimeout 1
CONF
    $h->graceful(gone => 1);
    my $answer = raw($h->port, "GET /cgi/stuck HTTP/1.1\r\nHost: imx.test\r\n"
        . "Connection: close\r\n\r\n");
    like($answer, qr/some/, 'what it said comes');
    count_is($db, 1, 'it is a point', database => 'stuck');
    my ($p) = $db->query('SELECT * FROM "raw-requests"', 'stuck');
    ok(!$p->{aborted}, 'the client has not gone');
    my @said = grep { /IMX0092/ } $h->error_log;
    is(scalar @said, 1, 'the log tells of it') or diag $h->error_log;
    like($said[0] // '', qr/\[influx_metrics:error\].*The timeout/i,
        '... and why');
};

finish();

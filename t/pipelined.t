# An error document for a request that came behind another one on its
# connection: the other one is logged, and its marks are free, before the
# document is looked for.  What is under way is the request, not the document,
# and nothing is under way when it is logged.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use IO::Select;
use IO::Socket::INET;
use Test::More;

my $db = influxd();

sub head {
    my ($line, @more) = @_;
    return join "\r\n", "$line HTTP/1.1", 'Host: imx.test', @more, '', '';
}

# What comes, up to this.
sub answer {
    my ($s, $end) = @_;
    my ($got, $ready) = ('', IO::Select->new($s));
    wait_until(20, sub {
        sysread $s, $got, 65536, length $got if $ready->can_read(0.1);
        return $got =~ $end;
    });
    return $got;
}

# A document behind a small answer, and then a file whose request is slow.
sub ask {
    my ($s, $h) = @_;
    my $length = 'Content-Length: 8';
    # What is small and no file waits for more, here for "100 Continue": with it
    # it goes out, and then that request is logged.
    syswrite $s, head('HEAD /index.html') . head('POST /missing', $length,
        'Expect: 100-continue') . 'the body';
    like(answer($s, qr/a document\n/), qr{^HTTP/1.1\ 200.*^HTTP/1.1\ 100.*
        ^HTTP/1.1\ 404.*a\ document}msx, "$h->{mpm}: both are answered");
    syswrite $s, head('POST /index.html', $length) . 'half';
}

for my $mpm (qw(prefork worker event)) {
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        children => $mpm eq 'prefork' ? 4 : 1, threads => 4,
        report => 'none slow=1s workers=1s', conf => "ErrorDocument 404 "
            . "/document.html\nInfluxMetricsDatabase $mpm\n");
    $h->put('htdocs/document.html', "a document\n");
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $h->port) or die "connect: $!";
    ask($s, $h);
    my $seen;
    ok(wait_until(20, sub { $seen = figures($h); @{ $seen->{slow} } }),
        "$mpm: a slow one behind them is seen");
    is_deeply([map { "$_->{method} $_->{uri}" } @{ $seen->{slow} }],
        ['POST /index.html'], "$mpm: it alone");
    is($seen->{workers}{in_flight}, 1, "$mpm: only that is under way");
    syswrite $s, 'half';
    like(answer($s, qr/hello world\n/), qr/hello world/, "$mpm: it ends");
    ok(wait_until(20, sub {
        my $now = figures($h);
        return !@{ $now->{slow} } && $now->{workers}{in_flight} == 0;
    }), "$mpm: then nothing is under way, though the connection is kept");
    count_is($db, 3, "$mpm: a point of each", database => $mpm);
    accounts_ok($h, $mpm);
    ok($h->stop, "$mpm: stops");
    is_deeply([$h->complaints], [], "$mpm: no complaints");
}

finish();

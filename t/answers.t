# What an InfluxDB, or what stands before it, may answer: a real httpd and a
# stand-in that says it.  No answer loses a point, doubles one, or makes the
# figures wrong; what has not been told is not believed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(time);

my $elsewhere = ImxStandin->new;
my $html = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>"
    . "<body><h1>nginx</h1></body></html>\n";

sub redirect {
    my ($status) = @_;
    return sub { answer($status, '', 'Location: ' . $elsewhere->url
        . '/write?db=httpd') };
}

sub whole { return { %{ answer(@_) }, store => 1 } }

# It does not take them: kept, and sent again.
my %kept = (
    (map { ("redirect $_" => redirect($_)) } 301, 307),
    'an error' => sub { answer(500, '{"error":"timeout"}') },
    'a proxy without InfluxDB' => sub { answer(502, $html) },
    'no such page' => sub { answer(404, "404 page not found\n") },
    'a page of a proxy' => sub { answer(404, $html) },
    'busy' => sub { answer(503, '{"error":"busy"}') },
    'slow down' => sub { answer(429, '') },
    'garbage' => sub { return { bytes => "\x16\x03\x01\x02 \0\xff\n\n",
        close => 1 } },
    'another protocol' => sub { return { bytes => "SSH-2.0-OpenSSH_9\r\n",
        close => 1 } },
    (map { my $status = $_; ("status $_" => sub { answer($status, 'no') }) }
        405, 407, 410, 421, 425, 426),
    'a sign-in page' => sub { answer(200, '<!DOCTYPE html><html><head>'
        . '<title>Sign in to Hotel WLAN</title></head></html>',
        'Content-Type: text/html') },
    'a path that it does not have' => sub { answer(400, 'remoteAddr: '
        . '"127.0.0.1:1"; requestURI: /write; unsupported path requested: '
        . '"/write"') },
    'a path that a cluster does not have' => sub { answer(400,
        'cannot parse path "/write": cannot find {action}') },
    'no answer' => sub { return { close => 1 } },
    'a head without an end' => sub { return {
        bytes => "HTTP/1.1 204 x\r\n", endless => "X: y\r\n" x 1000 } },
);
# It has stored them, but did not say so, or not to the end: the same bytes
# come again, and are the same points.
my %unsure = (
    'cut in the head' => sub { return { bytes => "HTTP/1.1 20", store => 1,
        close => 1 } },
    'cut in the body' => sub { return {
        bytes => "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"re",
        store => 1, close => 1 } },
    'a body without an end' => sub { return { store => 1,
        bytes => "HTTP/1.1 200 OK\r\n\r\n", endless => 'x' x 65536 } },
    'only 100 Continue' => sub { return { store => 1, close => 1,
        bytes => "HTTP/1.1 100 Continue\r\n\r\n" } },
    'silence' => sub { return { store => 1, hang => 1 } },
);
# It takes them, in an odd way.
my %taken = (
    'byte by byte' => sub { return { %{ whole(204) }, pause => 0.005 } },
    'by another node, which passes them on' => sub { whole(500,
        '{"error":"hinted handoff queue not empty"}') },
    'with a text' => sub { whole(200, '{"results":[]}') },
    '204 and a body' => sub { return { store => 1,
        bytes => "HTTP/1.1 204 x\r\nContent-Length: 8\r\n\r\n12345678" } },
    '202' => sub { whole(202) },
    'after 100 and 103' => sub { return { store => 1, bytes => join '',
        "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early\r\nA: b\r\n\r\n",
        answer(204)->{bytes} } },
    'and closes' => sub { return { %{ whole(204) }, close => 1 } },
);
# When it is to come back.
my %later = (
    'in three seconds' => sub { answer(429, '', 'Retry-After: 3') },
    'at a date' => sub { answer(503, '', 'Retry-After: '
        . strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime(time + 4))) },
);

my $s = ImxStandin->new(%kept, %unsure, %taken, %later);

sub server {
    my (%o) = @_;
    my $h = httpd(module => 1, influx => $s, figures => 1, start => 0);
    my $file = $h->secret('token', "a-token-8c1f\n");
    $h->reconf(conf => join "\n", "InfluxMetricsTokenFile $file",
        'InfluxMetricsInterval 200ms', 'InfluxMetricsTimeout 1s 2s',
        $o{conf} // '');
    return $h->start;
}

our $all = 0;

# n more requests, while it is in this mode; the requests that it saw in it.
sub in_mode {
    my ($h, $mode, $n) = @_;
    $s->mode($mode);
    load(url => $h->url, n => $n, c => 2);
    $all += $n;
    ok(wait_until(20, sub { grep { $_->{mode} eq $mode } $s->requests }),
        'it was asked');
    return grep { $_->{mode} eq $mode } $s->requests;
}

sub all_there {
    my ($h, $name) = @_;
    $s->mode('ok');
    figures_are($h, { points_recorded => $all, points_sent => $all,
        points_rejected => 0, points_dropped => 0, points_pending => 0 },
        "$name: all is sent", seconds => 40);
    is($s->stored, $all, "$name: and there");
}

my $h = server();

for my $mode (sort keys %kept) {
    subtest "kept: $mode" => sub {
        my $before = $s->stored;
        in_mode($h, $mode, 50);
        ok(wait_until(10, sub { figures($h)->{last_error} ne '' }),
            'it is an error') and note figures($h)->{last_error};
        my $f = accounts_ok($h, 'kept');
        is($f->{points_pending}, 50, 'all wait');
        is($s->stored, $before, 'none is stored');
        all_there($h, 'then');
    };
}
is($s->copies, $s->stored, 'nothing was sent twice so far');
is(scalar(my @r = $elsewhere->requests), 0,
    'a redirect was not followed: nobody else saw the token');
is(scalar(grep { ($_->{headers}{authorization} // '') ne 'Token a-token-8c1f' }
    $s->requests), 0, 'and the one that was meant saw it each time');

for my $mode (sort keys %unsure) {
    subtest "unsure: $mode" => sub {
        in_mode($h, $mode, 50);
        ok(wait_until(20, sub { figures($h)->{last_error} ne '' }),
            'it is not believed') and note figures($h)->{last_error};
        is(accounts_ok($h, 'unsure')->{points_pending}, 50, 'all wait');
        all_there($h, 'then');
    };
}

for my $mode (sort keys %taken) {
    subtest "taken: $mode" => sub {
        in_mode($h, $mode, 50);
        my $f = figures_are($h, { points_sent => $all, points_pending => 0 },
            'all is sent');
        is($f->{last_error}, '', 'without an error')
            if $mode !~ /another node/;
        all_there($h, 'then');
    };
}

for my $mode (sort keys %later) {
    subtest "come back $mode" => sub {
        my ($first) = in_mode($h, $mode, 50);
        $s->mode('ok');
        all_there($h, 'then');
        my ($next) = grep { $_->{time} > $first->{time} } $s->requests;
        cmp_ok($next->{time} - $first->{time}, '>', 2.9, 'not sooner');
        cmp_ok($next->{time} - $first->{time}, '<', 4.6 + 2 * (slow() - 1),
            'nor much later');
    };
}

# All of that in less than two minutes: a line for what stopped, one for what
# came back, and at most one a minute of each.
my @lines = grep { /IMX00(?!17|29)\d\d:/ } $h->error_log;
cmp_ok(scalar(grep { /IMX0020:/ } @lines), '<=', 4, 'the log was not flooded')
    or diag join "\n", @lines;
is(scalar(grep { !/IMX00(?:2[01]|82):/ } @lines), 0,
    'nor told of anything else')
    or diag join "\n", @lines;
is(scalar(grep { /IMX0082:.*hinted handoff/ } @lines), 1,
    'what was taken with an error is told of, once')
    or diag join "\n", @lines;
my ($first) = grep { /IMX0020:/ } @lines;
ok(!(grep { /a-token-8c1f/ } $h->error_log), 'no token in the log');
ok($h->stop, 'stops');

subtest 'what the log says of a redirect' => sub {
    my $other = server(conf => 'InfluxMetricsDatabase other');
    local $all = 0;
    my $stored = $s->stored;
    in_mode($other, 'redirect 301', 20);
    ok(wait_until(10, sub { grep { /IMX0020:/ } $other->error_log }), 'told');
    my ($line) = grep { /IMX0020:/ } $other->error_log;
    my $to = $elsewhere->url('/write');
    like($line, qr/301, a redirect, which is not followed, to \Q$to\E/,
        'where to');
    $s->mode('ok');
    figures_are($other, { points_sent => 20, points_pending => 0 }, 'sent');
    is($s->stored, $stored + 20, 'and there');
};

finish();

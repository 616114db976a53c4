# A process of another user that has the shared memory, as a daemon of mod_wsgi
# with user= has it: it gets at no secret and no file of the spool, and while it
# writes random words everywhere in the arena, the parent and the children go
# on, requests are served, restarts work, and a stop ends in time.
# IMX_SCRIBBLE=N: for so many seconds.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxNeighbour;
use ImxTest;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'only root can have processes of another user' if $>;

my $so = test_module('neighbour');
my $token = 'token-of-the-neighbour-5r2q';
my $db = influxd();

# What the neighbour of this generation can reach.
sub report {
    my ($h) = @_;
    my $file = $h->dir . '/neighbour.report';
    wait_until(30, sub { -e $file && slurp($file) =~ /^done/m })
        or die 'there is no neighbour: ' . join "\n", $h->error_log;
    return { slurp($file) =~ /^(\w+) (.*)$/mg };
}

sub page {
    my ($h) = @_;
    return grep {
        get("http://127.0.0.1:" . $h->port('figures') . "/$_")->{status} == 200
    } '', '?json', '?text', '?auto', '?json&history', '?json&since=1', '?openmetrics';
}

sub server {
    my ($mpm) = @_;
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        start => 0, children => $mpm eq 'prefork' ? 4 : 2,
        modules => ["headers"], report => join ' ', map { "$_=1s" } qw(requests buckets processes
            workers slow self pressure));
    $h->put('wanted', join '', map { chr(1 + ord) } split //, $token);
    my $file = $h->secret('token', "$token\n");
    my $dir = $h->dir;
    $db->query("CREATE DATABASE neighbour_$mpm");
    $h->reconf(conf => <<"CONF")->start;
LoadModule neighbour_module $so
InfluxMetricsDatabase neighbour_$mpm
InfluxMetricsBufferSize 2M
InfluxMetricsInterval 200ms
InfluxMetricsTags +user
InfluxMetricsFields +trace_id
InfluxMetricsObjective 500ms 99
InfluxMetricsBuckets 8 request application
RequestHeader set traceparent "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" early
InfluxMetricsTokenFile $file
InfluxMetricsSpool $dir/spool
CONF
    return $h;
}

for my $mpm (split ' ', $ENV{MPMS} || 'event worker prefork') {
    my $h = server($mpm);
    subtest "$mpm: what it can reach" => sub {
        my $n = client(port => $h->port, n => 50, c => 2)->wait->{complete};
        count_is($db, $n, 'points arrive', database => "neighbour_$mpm");
        my $r = report($h);
        is($r->{user}, 65534, 'it is another user');
        cmp_ok($r->{memory}, '>', 1000, 'it has the parent\'s memory');
        is($r->{magic}, 1, 'and the arena');
        is($r->{secret}, 0, 'the token is in neither');
        is($r->{$_}, 'Permission denied', "not for it: $_")
            for qw(token spool parent);
    };

    subtest "$mpm: random words" => sub {
        my $seconds = $ENV{IMX_SCRIBBLE} || ($ENV{IMX_PRELOAD} ? 24 : 6);
        my $load = client(port => $h->port, c => 4, timeout => 5 * slow(),
            seconds => $seconds, rate => 100, close => 1);
        $h->put('scribble', '', 0644);
        my ($begin, $pages) = (time, 0);
        my $half = $begin + $seconds / 2;
        while (time < $half) {
            $pages += page($h);
        }
        $h->graceful;
        while (time < $begin + $seconds) {
            $pages += page($h);
        }
        my $r = $load->wait;
        cmp_ok(abs((status($h) // {})->{points_recorded}), '>', 1e9,
            'the words were written: the figures are nonsense');
        is($r->{complete}, $r->{sent}, "each request is answered ($r->{sent})");
        cmp_ok($pages, '>', 3, "the page answers ($pages)");
        is(scalar neighbours($h), 1, 'the neighbour is still there');
        ok($h->alive, 'so is the parent');
        is_deeply([crashes($h)], [], 'no child has ended otherwise than asked');
        $begin = time;
        $h->stop;
        my $took = time - $begin;
        cmp_ok($took, '<', 16 * slow(), sprintf 'it stops after %.1f s', $took);
        is_deeply([crashes($h)], [], 'without a crash');
    };
}

finish();

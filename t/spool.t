# The spool: what InfluxDB does not take while the buffer fills, and what is
# left at a stop, is in files, and is delivered once InfluxDB is back, by this
# server or by the next one.  Nothing is lost, nothing counts twice.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use ImxTest;

my $db = influxd();
$db->query('CREATE DATABASE httpd');

sub server {
    my ($mpm, %o) = @_;
    return httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        ($mpm eq 'prefork' ? (children => 12) : ()), %o, conf => sub {
        my $dir = $_[0]->dir . '/spool';
        return <<"CONF";
ServerLimit 12
InfluxMetricsDatabase $mpm
InfluxMetricsBufferSize 1M
InfluxMetricsSpool $dir
CONF
    });
}

sub files { my ($h) = @_; my @f = glob($h->dir . '/spool/*'); return scalar @f }

for my $mpm (split " ", $ENV{MPMS} || "event worker prefork") {
    my $h = server($mpm, start => 0);
    # The parent makes it, for the server's user alone: so its parent must let
    # httpd do that.
    $h->start;
    my @stat = stat($h->dir . '/spool');
    is($stat[2] & 07777, 0700, "$mpm: made for the server's user alone");
    $h->put('htdocs/a.html', 'a');
    get($h->url('/a.html'));
    ok(wait_until(20, sub { status($h)->{points_sent} == 1 }),
        "$mpm: healthy");

    $db->stop;
    my $w = watch($h);
    my $n = 27_000;
    my $done = 1;
    # Not faster than a slow disk of a busy machine takes it.
    my $load = client(port => $h->port, n => $n, c => 8, path => '/a.html',
        rate => 375);
    $done += $load->wait->{complete};
    cmp_ok($done, '>', $n * 0.9, "$mpm: load while InfluxDB is down");
    $w->ok($mpm);
    # A client has its answer before its request is recorded.
    my $s;
    wait_until(20, sub { ($s = status($h))->{points_recorded} == $done });
    cmp_ok($s->{buffer_used} + $s->{spool_bytes}, '>=', 4 * $s->{buffer_size},
        "$mpm: four times the buffer");
    is($s->{points_dropped}, 0, "$mpm: nothing lost");
    is($s->{points_recorded}, $done, "$mpm: all recorded");
    accounts_ok($h, "$mpm: down");

    $h->stop;
    cmp_ok(files($h), '>', 0, "$mpm: stopped: the rest is in files");
    unlike(join('', $h->error_log), qr/IMX0033/, "$mpm: nothing given up");

    $h->start;
    get($h->url('/a.html')) for 1 .. 10;
    $done += 10;
    ok(wait_until(20, sub { status($h)->{points_recorded} == $done - 1 }),
        "$mpm: the next server takes over what it finds")
        or diag explain status($h);
    accounts_ok($h, "$mpm: started while down");
    $h->stop;
    $h->start;
    $db->start;
    ok(wait_until(60, sub { $db->count('raw-requests', $mpm) == $done }),
        "$mpm: all delivered") or diag $db->count('raw-requests', $mpm), " of $done";
    ok(wait_until(10, sub { status($h)->{points_spooled} == 0 }),
        "$mpm: and the spool is empty");
    accounts_ok($h, "$mpm: delivered");
    is(files($h), 0, "$mpm: no file is left");
    $h->stop;
}
finish();

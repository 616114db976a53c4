# The account on the status page, looked at as fast as it goes while points go
# into the buffer, to InfluxDB, into the spool and out of it again: it adds up
# each time, and no figure goes back.  IMX_SECONDS: how long.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{IMX_SECONDS} || 10;
my $db = influxd();
$db->query('CREATE DATABASE httpd');
my $h = httpd(module => 1, influx => $db, figures => 1, children => 3,
    conf => sub { <<"CONF" });
ServerLimit 12
InfluxMetricsBufferSize 1M
InfluxMetricsMaxBody 64K
InfluxMetricsInterval 100ms
InfluxMetricsSpool @{[ $_[0]->dir ]}/spool 3M
CONF
my @watches = map { watch($h, pause => 0) } 1 .. 2;
my ($end, $rounds, $spooled) = (time + $seconds, 0, 0);
until (time > $end) {
    my $load = client(port => $h->port, c => 4, n => 4000);
    $db->pause if $rounds % 2;
    $db->kill if $rounds % 2 == 0;
    wait_until(10, sub {
        my $s = status($h) // {};
        $spooled = $s->{points_spooled} if $s->{points_spooled} > $spooled;
        return $s->{points_spooled} > 0;
    });
    $load->wait;
    $rounds++ % 2 ? $db->resume : $db->start;
    my $s = status($h);
    $h->kill_child($s->{lease_holder}) if $s && $rounds % 3 == 0;
    wait_until(10, sub {
        my $now = status($h) // return;
        return $now->{points_spooled} + $now->{points_pending} == 0;
    });
}
my $sum = 0;
$sum += $_->ok('under load') for @watches;
cmp_ok($sum, '>=', 20 * $seconds, "$sum looks");
cmp_ok($spooled, '>', 0, 'points went through the spool');
accounts_ok($h, 'the end');
my $s;
ok(wait_until(60, sub {
    $s = status($h) // return;
    return $s->{points_pending} + $s->{points_spooled} == 0;
}), 'all is delivered');
is($s->{points_sent}, $db->count, 'sent = stored, line for line')
    or diag explain $s;
ok($h->stop, 'stops');

finish();

# Clients without manners: pipelines of random requests, cut somewhere, closed,
# reset or half closed, HTTP/2 beside them, and graceful restarts meanwhile.
# What the access log has is a point, and nothing else is.
#
# IMX_SECONDS: for each MPM; IMX_SEED: what the clients do, said when it fails.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStorm;
use ImxTest;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{IMX_SECONDS} || 3;
my $seed = $ENV{IMX_SEED} || time;
my $db = influxd();
my $behind = storm_backend();

for my $mpm (qw(event worker prefork)) {
    my $h = storm_server($mpm, $db, $behind);
    storm_begin($h, seconds => $seconds, seed => $seed);
    my $end = time + $seconds;
    while (time < $end) {
        select undef, undef, undef, 1;  # the pace of the restarts
        $h->graceful;
    }
    storm_wait();
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

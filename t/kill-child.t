# kill -9 of a random child every 0.4 s under load: what the access log has is
# a point.  Only a child killed in the few instructions between the two log
# hooks may make a difference of one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{IMX_SECONDS} || 5;
my $db = influxd();

for my $mpm (qw(event worker prefork)) {
    my %room = $mpm eq 'prefork' ? (children => 16)
        : (children => 4, threads => 8);
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, %room,
        figures => 1, conf => "InfluxMetricsDatabase $mpm");
    my $w = watch($h, pause => 0.1);
    my $load = client(port => $h->port, seconds => $seconds, c => 8);
    my ($kills, $end) = (0, time + $seconds);
    while (time < $end) {
        select undef, undef, undef, 0.4;    # the pace of the killing
        my @children = $h->children or next;
        $kills += $h->kill_child($children[rand @children]);
    }
    my $r = $load->wait;
    cmp_ok($kills, '>=', $seconds, "$mpm: $kills children were killed");
    cmp_ok($r->{complete}, '>', 1000, "$mpm: $r->{complete} answers");

    # The living deliver what the dead left, while the server runs.
    my $difference;
    wait_until(20, sub {
        $difference = $db->count('raw-requests', $mpm) - $h->access_count;
        return abs $difference <= $kills;
    });
    cmp_ok(abs $difference, '<=', $kills,
        "$mpm: points - access log = $difference before the stop");
    ok($h->alive, "$mpm: the parent lives");
    $w->ok($mpm);
    accounts_ok($h, $mpm);
    ok($h->stop, "$mpm: stops");
    $difference = $db->count('raw-requests', $mpm) - $h->access_count;
    cmp_ok(abs $difference, '<=', $kills,
        "$mpm: points - access log = $difference after the stop");
    my @crashes = grep { /exit signal/ && !/Killed \(9\)/ } $h->error_log;
    is_deeply(\@crashes, [], "$mpm: no child died but by our hand");
}

# Far more dead children than the table of children has entries: they are
# forgotten, and those that come later are recorded.
{
    my $h = httpd(module => 1, influx => $db, children => 8, threads => 2,
        conf => "InfluxMetricsDatabase many\nServerLimit 8");
    my %killed;
    while (keys %killed < 60) {
        $h->kill_child($_) && $killed{$_}++ for $h->children;
        wait_until(20, sub { grep { !$killed{$_} } $h->children }) or last;
    }
    cmp_ok(scalar keys %killed, '>=', 60, 'many children were killed');
    client(port => $h->port, n => 300, c => 2)->wait;
    cmp_ok($h->access_count, '>=', 290, 'their successors serve');
    count_is($db, $h, 'and are recorded', database => 'many');
    ok($h->stop, 'stops');
}

finish();

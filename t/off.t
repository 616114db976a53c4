# InfluxMetrics Off everywhere, by a graceful restart: what was recorded and
# counted before arrives, and nothing else is written any more.  A line behind
# another one takes it back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();
my %states = ('worker-states' => 'busy', 'process-info' => 'pid',
    'influx-metrics' => 'pending');

# Anonymous shared memory of the parent.
sub shared_areas {
    my ($h) = @_;
    return scalar grep { m{^\S+ \S{3}s .*/dev/zero} }
        split /\n/, slurp('/proc/' . $h->pid . '/maps');
}

sub states {
    my $n = 0;
    $n += $db->count($_, 'httpd', $states{$_}) for sort keys %states;
    return $n;
}

sub requests {
    my ($row) = $db->query('SELECT sum(request_count) FROM "request-metrics"',
        'httpd');
    return ($row // {})->{sum} // 0;
}

my $h = httpd(module => 1, influx => $db, children => 2, start => 0,
    report => 'requests=5s workers=1s processes=1s self=1s',
    conf => 'InfluxMetrics Off');
$h->start;
ok((grep { /IMX0098: / } $h->error_log), 'On, and Off in the next line: On nowhere');
is(shared_areas($h), shared_areas(httpd(module => 0)), '... takes no memory');

$h->reconf(conf => '')->graceful(gone => 1);
load(url => $h->url, n => 100, c => 2);
ok(wait_until(20, sub { $db->count('raw-requests') == 100 && states() > 8 }),
    'switched on: requests, and how the server is');

$h->reconf(conf => 'InfluxMetrics Off')->graceful(gone => 1);
ok(wait_until(30, sub { requests() == 100 }),
    'switched off: the last counts of requests arrive');
my $before = states();
ok(!wait_until(4, sub { states() > $before + 3 }), '... and nothing else');
load(url => $h->url, n => 20, c => 2);

$before = states();
$h->reconf(conf => '')->graceful(gone => 1);
load(url => $h->url, n => 50, c => 2);
ok(wait_until(30, sub { $db->count('raw-requests') == 150
    && states() > $before + 8 }), 'and on again');
is($db->count('raw-requests'), 150, 'those in between have no points');
ok($h->stop, 'it stops');
is(requests(), 150, 'and were not counted');
is_deeply([$h->complaints], [], 'the error log is clean');

finish();

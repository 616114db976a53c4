# The child that delivers is killed at each step of closing and writing an
# interval, 200 times, in a real httpd: the intervals in InfluxDB add up to the
# requests, none is missing and none there twice.  `make test-ticks` builds the
# module for it, with points at which it can be killed.
#
# IMX_KILLS: how often (200).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use ImxTest;
use List::Util qw(min);
use Test::More;

my $kills = $ENV{IMX_KILLS} || 200;
my @mpms = qw(event worker prefork);
# Filling a row, the times, closing; a line in the batch; written.
my @points = qw(filled taken timed closing closed reserved copied writing
    written);

my $dir = work_dir() . '/strike';
mkdir $dir;
chmod 0777, $dir;
local $ENV{IMX_STRIKE} = "$dir/at";
my $db = influxd();

sub sum_of {
    my ($database, $measurement, $field) = @_;
    my ($row) = eval { $db->query(qq{SELECT sum("$field") AS n FROM }
        . qq{"$measurement"}, $database) };
    return $row ? $row->{n} : 0;
}

sub strike_at {
    my ($point, $n) = @_;
    spew("$dir/new", "$point $n\n", 0666);
    rename "$dir/new", "$dir/at" or die "rename: $!";
}

# The next holder has written what there was to write.
sub is_written {
    my ($database, $n) = @_;
    return wait_until(30, sub {
        sum_of($database, 'request-metrics', 'request_count') == $n });
}

for my $mpm (@mpms) {
    $db->query("CREATE DATABASE $mpm");
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        report => 'none requests=1s buckets=1s',
        ($mpm eq 'prefork' ? (children => 6) : (children => 3, threads => 4)),
        conf => "InfluxMetricsDatabase $mpm\nInfluxMetricsSample 0\n"
            . "InfluxMetricsBuckets 2\n",
        vhosts => ['other.test' => '']);
    my ($n, %struck) = (0);
    for my $i (1 .. $kills / @mpms) {
        my $point = $points[$i % @points];
        # Nobody asks for anything while the child dies.  When the interval was
        # written before that, there is nothing to write: once more.
        for my $try (1 .. 10) {
            load(url => $h->url('/', $_), n => 50, c => 2)
                for undef, 'other.test';
            $n += 100;
            strike_at($point, 1 + int($i / @points) % 3);
            if (wait_until(2, sub { !-e "$dir/at" }) || !unlink "$dir/at") {
                $struck{$point}++;
                last;
            }
        }
        is_written($mpm, $n) or diag "$point: " . sum_of($mpm,
            'request-metrics', 'request_count') . " of $n";
    }
    my $all = 0;
    $all += $_ for values %struck;
    cmp_ok($all, '>=', int($kills / @mpms) - 1, "$mpm: killed $all times");
    is(scalar keys %struck, min(scalar @points, $all), "$mpm: at each point")
        or diag explain \%struck;
    ok($h->stop, "$mpm: stops");
    is($n, $h->access_count, "$mpm: the access log has all requests");
    is(sum_of($mpm, 'request-metrics', 'request_count'), $n,
        "$mpm: the sum of request_count is all requests");
    is(sum_of($mpm, 'request-buckets', 'count'), $n,
        "$mpm: and that of the buckets");
}

finish();

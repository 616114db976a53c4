# Nothing grows with the number of requests or of restarts: no memory of a
# child or of the buffer, no file or thread of the parent.  What the buffer took
# while InfluxDB was away goes back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $some = $ENV{IMX_REQUESTS} || 10_000;
my $db = influxd();

# KB, or a number, from /proc/PID/status.
sub figure {
    my ($pid, $name) = @_;
    my ($n) = slurp("/proc/$pid/status") =~ /^$name:\s+(\d+)/m;
    return $n;
}

sub files { scalar(my @files = glob "/proc/$_[0]/fd/*") }

# The most that a child has.
sub most {
    my ($h, $name) = @_;
    my ($most) = sort { $b <=> $a } map { figure($_, $name) } $h->children;
    return $most;
}

for my $mpm (qw(event worker prefork)) {
    my $h = httpd(mpm => $mpm, module => 1, influx => $db,
        children => $mpm eq 'prefork' ? 8 : 2,
        conf => "InfluxMetricsDatabase $mpm\nInfluxMetricsInterval 100ms\n"
            . 'InfluxMetricsMaxBody 256K 1000');
    my $pid = $h->pid;
    load(url => $h->url, n => $some, c => 8);
    # Points soon leave the buffer, and then their memory is used again, however
    # large the buffer is.  Each has 0.19 KB.
    my ($own, $shared) = map { most($h, $_) } qw(RssAnon RssShmem);
    load(url => $h->url, n => 2 * $some, c => 8);
    SKIP: {
        skip 'AddressSanitizer keeps freed memory', 1 if $ENV{IMX_PRELOAD};
        cmp_ok(most($h, 'RssAnon') - $own, '<', 1024, "$mpm: a child's memory");
    }
    cmp_ok(most($h, 'RssShmem') - $shared, '<', $some * 0.19,
        "$mpm: the buffer's memory");
    $db->stop;
    $shared = most($h, 'RssShmem');
    load(url => $h->url, n => 2 * $some, c => 8);
    my $taken = most($h, 'RssShmem') - $shared;
    cmp_ok($taken, '>', $some * 0.01, "$mpm: an outage takes memory");
    $db->start;
    ok(wait_until(60, sub { most($h, 'RssShmem') - $shared < $taken / 4 }),
        "$mpm: and it goes back");
    my $files = files($pid);
    is(figure($pid, 'Threads'), 1, "$mpm: the parent has no thread");
    for (1 .. 10) {
        $h->graceful;
        load(url => $h->url, n => 20, c => 1);
    }
    is(files($pid), $files, "$mpm: the parent's files after ten restarts");
    is(figure($pid, 'Threads'), 1, "$mpm: and its threads");
    count_is($db, $h, "$mpm: points = access log", database => $mpm);
    ok($h->stop, "$mpm: stops");
}

finish();

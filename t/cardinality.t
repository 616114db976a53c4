# A bot that asks for ever new paths makes a bounded number of series: N values
# and `other`, exactly, on each MPM, over graceful restarts, with several such
# tags at once, and for a user that a proxy lets through.
#
# IMX_PATHS: how many paths the bot of the first part asks (20,000);
# `make bench-cardinality` is the 400,000 of them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my $db = influxd();
my $status = "<Location /status>\nSetHandler influx-metrics\n"
    . "InfluxMetrics Off\n</Location>\n";

# Asks for the paths, 100 at a time on a connection, in a process of its own.
sub bot {
    my ($port, $prefix, @numbers) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    while (my @some = splice @numbers, 0, 100) {
        my $last = $some[-1];
        raw($port, join('', map { "GET /$prefix$_ HTTP/1.1\r\nHost: x\r\n"
            . "User-Agent: bot $_\r\nX-T: v" . ($_ % 50) . "\r\n"
            . ($_ == $last ? "Connection: close\r\n" : '') . "\r\n" } @some),
            timeout => 120);
    }
    POSIX::_exit(0);
}

sub values_of {
    my ($name, $tag) = @_;
    return map { $_->{value} } $db->query(
        qq{SHOW TAG VALUES WITH KEY = "$tag"}, $name);
}

sub points_are {
    my ($h, $name, $tests) = @_;
    my ($n, $wanted) = (-1, -2);
    wait_until(60, sub {
        $n = $db->count('raw-requests', $name);
        $wanted = $h->access_count - grep { /\/status$/ }
            map { $_->{path} } $h->access_log;
        return $n == $wanted;
    });
    is($n, $wanted, $tests);
    return $n;
}

subtest 'one bot' => sub {
    my ($paths, $limit) = ($ENV{IMX_PATHS} // 20_000, 1000);
    my $h = httpd(module => 1, influx => $db, children => 2, threads => 8,
        conf => "InfluxMetricsDatabase bot\nInfluxMetricsTags -process\n"
            . "$status\nInfluxMetricsTag path \"%{REQUEST_URI}\"\n"
            . "InfluxMetricsTagLimit $limit\n");
    my $begin = time;
    my @bots = map { my $b = $_;
        bot($h->port, 'p', grep { $_ % 4 == $b } 1 .. $paths) } 0 .. 3;
    waitpid $_, 0 for @bots;
    my $seconds = time - $begin;
    is($h->access_count, $paths, "$paths paths were asked for");
    count_is($db, $paths, 'each is a point', database => 'bot',
        seconds => 120);
    my @values = values_of('bot', 'path');
    is(scalar @values, $limit + 1, 'as many values as allowed, and other');
    my @series = $db->query('SHOW SERIES', 'bot');
    is(scalar @series, $limit + 1, 'and as many series');
    my ($other) = $db->query('SELECT count(bytes_sent) AS n FROM '
        . q{"raw-requests" WHERE "path" = 'other'}, 'bot');
    is($other->{n}, $paths - $limit, 'every other point is in other');
    my $f = figures($h);
    is($f->{tag_values_other}, $paths - $limit, 'the page counts them');
    is($f->{tags_at_limit}, 'path', '... and names the tag');
    ok(wait_until(10, sub { grep { /IMX0072:/ } $h->error_log }), 'a line');
    is(scalar(grep { /IMX0072:/ } $h->error_log), 1, '... one line');
    diag sprintf '%d paths in %.1f s, %d series, %d tag values', $paths,
        $seconds, scalar @series, scalar @values;
};

for my $mpm (qw(event worker prefork)) {
    subtest "$mpm: several tags, graceful restarts" => sub {
        my $limit = 200;
        my $h = httpd(mpm => $mpm, module => 1, influx => $db, children => 4,
            threads => 4, conf => <<"CONF");
InfluxMetricsDatabase $mpm
InfluxMetricsTags -process
InfluxMetricsTagLimit $limit
InfluxMetricsTag path "%{REQUEST_URI}"
InfluxMetricsTag agent "%{HTTP_USER_AGENT}"
InfluxMetricsTag few "%{req:X-T}"
<Location /q>
InfluxMetricsTag path "q%{REQUEST_URI}"
InfluxMetricsTag late "%{REQUEST_URI}"
</Location>
$status
CONF
        my $n = 0;
        for my $prefix ('a/', 'b/', 'q/') {
            my @bots = map { my $b = $_;
                bot($h->port, $prefix, map { $_ * 3 + $b } $n .. $n + 399) }
                0 .. 2;
            waitpid $_, 0 for @bots;
            $n += 400;
            $h->graceful(gone => 1);
        }
        my $points = points_are($h, $mpm, 'no point is missing');
        is($points, 3600, 'all were asked');
        is(scalar(() = values_of($mpm, $_)), $limit + 1, "$_: the limit")
            for qw(path agent late);
        is_deeply([sort(values_of($mpm, 'few'))],
            [sort map { "v$_" } 0 .. 49],
            'a tag with fewer values has them all, and no other');
        my $f = figures($h);
        is($f->{tags_at_limit}, 'path agent late', 'the page names them');
        is($f->{tag_values_other}, 3 * 3600 - 2400 - 3 * $limit,
            'and counts what became other');
        ok(wait_until(10, sub { 3 == grep { /IMX0072:/ } $h->error_log }),
            'a line a tag') or diag explain [$h->error_log];
    };
}

subtest 'names that come and go with graceful restarts' => sub {
    my $conf = sub {
        my ($name) = @_;
        return "InfluxMetricsDatabase names\nInfluxMetricsTags -process\n"
            . "InfluxMetricsTagLimit 20\nInfluxMetricsTag $name"
            . " \"%{REQUEST_URI}\"\n$status";
    };
    my $h = httpd(module => 1, influx => $db, children => 1, threads => 8,
        conf => $conf->('t0'));
    # More of them than there are spare places.
    for my $i (0 .. 11) {
        $h->reconf(conf => $conf->("t$i")) if $i;
        $h->graceful(gone => 1) if $i;
        waitpid bot($h->port, 'x', 1 .. 50), 0;
    }
    points_are($h, 'names', 'no point is missing');
    is(scalar(() = values_of('names', "t$_")), 21, "t$_ has its limit")
        for 0 .. 11;
};

finish();

# process-info: the figures of each process, against what root reads in /proc.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use ImxMeasured;
use Test::More;
use Time::HiRes qw(time);

my $db = influxd();

sub points {
    my ($mpm, $since) = @_;
    return if !$db->count('process-info', $mpm, 'pid');
    return $db->query('SELECT * FROM "process-info" WHERE time > '
        . int($since * 1e9), $mpm);
}

# The figures of each process by its pid, of two whole intervals from now on.
sub figures_now {
    my ($mpm) = @_;
    my ($since, @p) = time;
    wait_until(20, sub {
        @p = points($mpm, $since);
        return (grep { $_->{process_type} eq 'parent' } @p) >= 3;
    });
    return map { ($_->{pid} => $_) } @p;
}

sub stat_of {
    my ($pid) = @_;
    my @f = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\)//sr;
    return (time => ($f[11] + $f[12]) / 100, threads => $f[17],
        rss => $f[21] * 4096);
}

sub fds {
    my ($pid) = @_;
    opendir my $dir, "/proc/$pid/fd" or die "/proc/$pid/fd: $!";
    return scalar grep { !/^\./ } readdir $dir;
}

sub near {
    my ($got, $is, $part, $name) = @_;
    my $ok = defined $got && abs($got - $is) <= $part * $is;
    return ok($ok, $name) || diag(sprintf '%s, not %s', $got // 'none', $is);
}

for my $mpm (qw(event prefork)) {
    my %room = $mpm eq 'prefork' ? (children => 4)
        : (children => 3, threads => 4);
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, %room,
        modules => ['status'], figures => 1,
        conf => "ExtendedStatus On\nInfluxMetricsDatabase $mpm\n"
            . 'InfluxMetricsReport processes=1s');
    client(port => $h->port, seconds => 4, c => 4)->wait;

    # A process may still grow between its measurement and ours: until none does.
    my %p;
    wait_until(30, sub {
        %p = figures_now($mpm);
        return !grep {
            my %is = stat_of($_);
            abs(($p{$_}{memory_rss} // 0) - $is{rss}) > 0.05 * $is{rss};
        } $h->pid, $h->children;
    });
    is_deeply([sort keys %p], [sort $h->pid, $h->children],
        "$mpm: the parent and all children");
    for my $pid ($h->pid, $h->children) {
        my ($p, %is) = ($p{$pid}, stat_of($pid));
        my $what = "$mpm: $p->{process}";
        # What it uses for its own measuring, and what ticks round, besides.
        cmp_ok(abs($p->{cpu_time} - $is{time}), '<=',
            0.05 * $is{time} + 0.05, "$what: processor");
        near($p->{memory_rss}, $is{rss}, 0.05, "$what: memory");
        is($p->{threads}, $is{threads}, "$what: threads");
        next if $pid == $h->pid;
        is($p->{process_type}, 'child', "$what: a child");
        near($p->{memory_max_rss},
            1024 * (slurp("/proc/$pid/status") =~ /VmHWM:\s+(\d+)/)[0], 0.05,
            "$what: most memory");
        cmp_ok(abs($p->{fds} - fds($pid)), '<=', 2, "$what: files");
        cmp_ok($p->{age}, '<=', 60, "$what: age");
    }

    # Seconds of processor in a second: with time they are the sum.
    my ($busiest) = sort { $p{$b}{cpu_time} <=> $p{$a}{cpu_time} }
        $h->children;
    my @of = grep { $_->{pid} == $busiest } points($mpm, 0);
    my ($most, $best) = (0, 9);
    for my $i (1 .. $#of) {
        my $used = $of[$i]{cpu_time} - $of[$i - 1]{cpu_time};
        my $cores = $of[$i]{cpu_user} + $of[$i]{cpu_system};
        next if $used < 0.05;
        $most = $cores if $cores > $most;
        # What it was divided by; a busy machine measures late, and the age, in
        # whole seconds, tells how late.
        my $seconds = $used / $cores;
        my $aged = $of[$i]{age} - $of[$i - 1]{age};
        $best = abs($seconds - 1) if abs($seconds - 1) < $best;
        cmp_ok(abs($seconds - $aged), '<=', 1.05,
            sprintf '%s: %.3f s used, %.3f cores: within %.2f s', $mpm, $used,
            $cores, $seconds);
    }
    cmp_ok($best, '<=', 0.5, "$mpm: measured once a second");
    cmp_ok($most, '>', 0, "$mpm: processor was used");

    # The page that tells of them is served by them, too.
    my $requests = 0;
    $requests += $p{$_}{requests} for $h->children;
    cmp_ok($requests, '>=', $h->access_count, "$mpm: requests: $requests");

    # No figures of who does not measure itself.
    my $holder = figures($h)->{lease_holder};
    my ($stopped, $killed) = grep { $_ != $holder } $h->children;
    kill STOP => $stopped;
    $h->kill_child($killed);
    ok(wait_until(20, sub {
        my %now = figures_now($mpm);
        return !$now{$stopped} && !$now{$killed} && keys(%now) >= 3;
    }), "$mpm: a stopped child and a killed one have no points");
    kill CONT => $stopped;
    ok(wait_until(20, sub { my %now = figures_now($mpm); $now{$stopped} }),
        "$mpm: when it goes on, it has");
    manual_ok($db, 'process-info', $mpm);
    accounts_ok($h, $mpm);
    ok($h->stop, "$mpm: stops");
    is_deeply([$h->complaints], [], "$mpm: no complaints");
}

# By the pid, as the points of requests then are; never without a name.
for my $tag (qw(pid off)) {
    my $h = httpd(module => 1, influx => $db, children => 2, threads => 2,
        conf => "InfluxMetricsDatabase $tag\nInfluxMetricsProcessTag $tag\n"
            . 'InfluxMetricsReport processes=1s');
    my %p = figures_now($tag);
    my @names = sort map { $p{$_}{process} =~ s/^.*://r } $h->children;
    is_deeply(\@names, [$tag eq 'pid' ? sort $h->children : (0, 1)],
        "InfluxMetricsProcessTag $tag: @names");
}

finish();

# A request makes no system call more than without the module: strace counts those
# of a prefork child's own thread, with the module, with it off, and without it.
# Whether the next request is there already when httpd looks is a matter of time:
# where it is not, one read() finds nothing, and poll() waits.  So there is one
# read() a request that finds something, or fails in another way, and one poll() at
# most for each that finds nothing.  A hundredth of a call is one of five that
# tracing did not see begin or end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $REQUESTS = 500;
my $WAITS = qr/^(?:read(?:: nothing)?|poll|restart_syscall)$/;
my $EDGE = 20;          # calls of the moments in which tracing begins and ends

plan skip_all => 'strace is not installed' if !which_one('strace');
plan skip_all => 'a sanitizer makes system calls of its own' if $ENV{IMX_PRELOAD};

# Calls by name, of so many requests of one connection; undef, where a process
# cannot be traced.
sub calls {
    my (%server) = @_;
    my $h = httpd(mpm => 'prefork', children => 1, %server);
    load(url => $h->url('/'), n => 20, c => 1, keepalive => 1);    # warm
    my ($child) = $h->children;
    my $file = work_dir() . "/calls-$child";
    my $pid = open my $err, '-|', 'sh', '-c',
        'exec strace -q -o "$0" -p "$1" 2>&1', $file, $child or die "strace: $!\n";
    my $is_attached;
    wait_until(10, sub {
        $is_attached = slurp("/proc/$child/status") =~ /^TracerPid:\s*$pid$/m;
        $is_attached || slurp("/proc/$pid/stat") =~ /\) Z /;
    });
    load(url => $h->url('/'), n => $REQUESTS, c => 1, keepalive => 1) if $is_attached;
    kill INT => $pid;
    my $said = do { local $/; <$err> };
    close $err;
    $h->stop;
    return diag($said) && undef if !$is_attached;
    my %calls = map { $_ => 0 } 'read', 'read: nothing', 'poll';
    for my $line (split /\n/, slurp($file)) {
        my ($name) = $line =~ /^(\w+)\(/ or next;
        $calls{ $name eq 'read' && $line =~ /EAGAIN/ ? 'read: nothing' : $name }++;
    }
    return \%calls;
}

my $db = influxd();
my $without = calls(module => 0);
plan skip_all => 'this process may not trace others' if !$without;
my %with = (
    'with the module' => calls(module => 1, influx => $db),
    'with the module, off' => calls(module => 1, conf => "InfluxMetrics Off\n"),
    'with all fields, tags and phases' => calls(module => 1, influx => $db, conf => <<'CONF'),
InfluxMetricsFields +server_time +input_time +output_time +ttfb +bytes_received
InfluxMetricsFields +aborted +uri +client
InfluxMetricsTags +protocol +status_class
InfluxMetricsReport phases
InfluxMetricsBuckets 8 request application
CONF
);
cmp_ok($without->{writev} // $without->{write}, '>=', $REQUESTS, 'requests are traced');
for my $how (sort keys %with) {
    my %others = map { $_ => 1 } grep { !/$WAITS/ } keys %$without, keys %{ $with{$how} };
    my ($got, $expected) = map {
        my $calls = $_;
        [map { sprintf '%s: %.2f', $_, ($calls->{$_} // 0) / $REQUESTS }
            sort keys %others];
    } $with{$how}, $without;
    is_deeply($got, $expected, "$how: no call more");
    my $calls = $with{$how};
    cmp_ok($calls->{read}, '<=', $REQUESTS + $EDGE, '... one read() a request');
    cmp_ok($calls->{'read: nothing'}, '<=', $REQUESTS + $EDGE,
        '... and one that finds nothing, at most');
    cmp_ok($calls->{poll}, '<=', $calls->{'read: nothing'} + $EDGE,
        '... and poll() after that alone');
}
cmp_ok($db->count('raw-requests'), '>', $REQUESTS, 'and there are points of them');

done_testing;

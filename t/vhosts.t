# A thousand virtual hosts cost a child next to nothing until it serves them: the
# plan of a line is made when the first request needs it; and each host has its
# own plan then, whoever comes first and at the same time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my ($hosts, $children) = (1000, 8);
my $db = influxd();

sub vhosts {
    my ($h) = @_;
    return join '', map { <<"CONF" } 1 .. $hosts;
<VirtualHost 127.0.0.1:@{[$h->port]}>
ServerName v$_.example
InfluxMetricsTag tenant tenant$_
</VirtualHost>
CONF
}

# KB that only this process has.
sub own_memory {
    my ($pid) = @_;
    my $kb = 0;
    $kb += $_ for slurp("/proc/$pid/smaps_rollup")
        =~ /^Private_(?:Clean|Dirty):\s+(\d+)/mg;
    return $kb;
}

# The mean of all children, none of which has served a thing but what says that
# it is there.
sub of_a_child {
    my ($on) = @_;
    my $h = httpd(mpm => 'prefork', module => 1, children => $children,
        $on eq 'On' ? (influx => $db) : (), conf => sub {
            "InfluxMetrics $on\nInfluxMetricsDatabase memory\n" . vhosts(@_) });
    my @pids = $h->children;
    is(scalar @pids, $children, "$on: the children are there");
    my $sum = 0;
    $sum += own_memory($_) for @pids;
    $h->stop;
    return $sum / @pids;
}

SKIP: {
    skip 'a sanitizer has memory of its own', 1 if $ENV{IMX_PRELOAD};
    skip 'no smaps_rollup: the memory of a child was not looked at', 1
        if !-r '/proc/self/smaps_rollup';
    my ($off, $on) = map { of_a_child($_) } 'Off', 'On';
    cmp_ok($on - $off, '<', 1024, sprintf '%d KB in a child, %d KB when Off',
        $on, $off);
}

subtest 'many threads, each host for the first time' => sub {
    my $h = httpd(module => 1, influx => $db, children => 1, threads => 32,
        conf => sub { "InfluxMetricsDatabase many\n"
            . "InfluxMetricsInterval 100ms\n" . vhosts(@_) });
    my @workers;
    for my $start (0 .. 7) {
        my $pid = fork // die "fork: $!";
        if ($pid == 0) {
            $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
            for my $i (1 .. $hosts) {
                raw($h->port, "GET / HTTP/1.1\r\nHost: v$i.example\r\n"
                    . "Connection: close\r\n\r\n");
            }
            POSIX::_exit(0);
        }
        push @workers, $pid;
    }
    waitpid $_, 0 for @workers;
    count_is($db, 8 * $hosts, 'a point for each request', database => 'many',
        seconds => 60);
    my @rows = $db->query('SELECT count(bytes_sent) AS n FROM "raw-requests" '
        . 'GROUP BY server, tenant', 'many');
    is(scalar @rows, $hosts, 'one series for each host');
    is_deeply([grep { $_->{n} != 8
        || ($_->{server} =~ /(\d+)/)[0] ne ($_->{tenant} =~ /(\d+)/)[0] }
        @rows], [], '... with its own tags, and eight points');
};

finish();

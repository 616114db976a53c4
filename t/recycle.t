# Children that are recycled all the time (MaxConnectionsPerChild 50) while
# InfluxDB hangs leave at once, the one that delivers too: no slot is blocked.
# What they recorded arrives when InfluxDB is back.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;
use Time::HiRes qw(time sleep);

my $db = influxd();

sub is_there {
    my ($pid) = @_;
    my ($state) = slurp("/proc/$pid/stat") =~ /\) (\S)/;
    return defined $state && $state !~ /[ZX]/;
}

# Milliseconds from a child's 50th line in the access log to its end.  Looked at
# every 5 ms, from a process of its own, so both can be late by that.  A child
# that stays is told, too, but in worker: its threads count connections without
# a lock (requests_this_child in worker.c), so that it may take one more.
sub watch_ends {
    my ($h) = @_;
    my $pid = open(my $pipe, '-|') // die "fork: $!";
    return { pid => $pid, pipe => $pipe } if $pid;
    my (%lines, %full, @ms);
    open my $log, '<', $h->dir . '/access.log' or die "access.log: $!";
    my $end;
    $SIG{TERM} = sub { $end //= time + 2 };
    while (!$end || (%full && time < $end)) {
        while (my $line = <$log>) {
            my $child = (split /\t/, $line)[5];
            $full{$child} //= time if ++$lines{$child} == 50;
        }
        seek $log, 0, 1;
        for my $child (grep { !is_there($_) } keys %full) {
            push @ms, 1000 * (time - delete $full{$child});
        }
        sleep 0.005;
    }
    syswrite STDOUT, join(' ', (map { sprintf '%.0f', $_ } @ms),
        $h->{mpm} eq 'worker' ? () : %full) . "\n";
    POSIX::_exit(0);
}

for my $mpm (qw(prefork event worker)) {
    $db->query("CREATE DATABASE $mpm");
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        ($mpm eq 'prefork' ? (children => 6) : (children => 3, threads => 4)),
        conf => "InfluxMetricsDatabase $mpm\nMaxConnectionsPerChild 50\n");
    get($h->url);
    wait_until(20, sub { (status($h) // {})->{points_sent} == 1 });
    my $w = watch($h, pause => 0.5);
    $db->pause;
    my $ends = watch_ends($h);
    my $r = client(port => $h->port, n => 1000, c => 3, close => 1,
        timeout => 2)->wait;
    kill TERM => $ends->{pid};
    my @ms = sort { $a <=> $b } split ' ', readline $ends->{pipe};
    close $ends->{pipe};
    cmp_ok(scalar @ms, '>=', 5, "$mpm: " . @ms . ' children were recycled');
    cmp_ok($ms[$#ms / 2], '<', 200 * slow(), "$mpm: most of them at once");
    # For an answer that is due: 250 ms, or a second where answers take long.
    cmp_ok($ms[-1], '<', 1000 + 200 * slow(),
        "$mpm: a child leaves after $ms[$#ms / 2] ms, $ms[-1] ms at most");
    $db->resume;
    count_is($db, $h, "$mpm: points = access log", database => $mpm,
        seconds => 60);
    $w->ok($mpm);
    accounts_ok($h, $mpm);
    ok($h->stop, "$mpm: stops");
    is($db->count('raw-requests', $mpm), $h->access_count,
        "$mpm: and that was all");
}

finish();

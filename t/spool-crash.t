# kill -9 of everything, while points go to the spool: what had its name is
# whole and is delivered by the next start, and what had not yet is as good as
# its whole lines.  And what a reboot leaves: files that are empty or end
# anywhere.  Then kills of the child that writes to the spool, which lose and
# double nothing, and are seen in no figure.
use strict;
use warnings;
use POSIX ();
use Test::More;
use lib 't/lib';
use ImxTest;

my $LONG = 'x' x 300;
my $db = influxd();

sub server {
    my ($name, %o) = @_;
    $db->query("CREATE DATABASE $name") if $db->alive;
    return httpd(module => 1, influx => $db, %o, conf => sub {
        my $dir = $_[0]->dir . '/spool';
        return <<"CONF";
InfluxMetricsDatabase $name
InfluxMetricsBufferSize 1M
InfluxMetricsMaxBody 64K
InfluxMetricsMeasurement $LONG
InfluxMetricsSpool $dir
<Location /status>
SetHandler influx-metrics
InfluxMetrics Off
</Location>
CONF
    });
}

sub spool { my @files = glob $_[0]->dir . '/spool/*'; return @files }

# Whole lines of files: as many as have an LF.
sub lines_in { my $n = 0; $n += slurp($_) =~ tr/\n// for @_; return $n }

# All processes at once: none can see another one die and act on it.
sub kill_everything {
    my ($h) = @_;
    my @pids = ($h->pid, $h->children);
    kill STOP => @pids;
    kill KILL => @pids;
    wait_until(10, sub { !$h->alive && !grep { kill 0 => $_ } @pids })
        or die 'they do not die';
}

for my $mpm (split ' ', $ENV{MPMS} || 'event prefork') {
    subtest "$mpm: kill -9 of everything" => sub {
        my $h = server("all_$mpm", mpm => $mpm, start => 0);
        $db->stop;
        my ($there, @files) = (0);
        for my $round (1 .. 2) {
            $h->start;
            my $load = client(port => $h->port, seconds => 60, c => 4);
            my $is_spooling = wait_until(50, sub { spool($h) > @files + 3 });
            kill_everything($h);
            $load->_end;
            ok($is_spooling, "round $round: killed while it wrote files");
            @files = spool($h);
            my $now = lines_in(@files);
            cmp_ok($now, '>=', $there, 'what was there is there');
            $there = $now;
        }
        # What a reboot can leave besides: a name without its content.
        my ($empty) = grep { /\.lp$/ } @files;
        my $lost = lines_in($empty);
        truncate $empty, 0 or die $!;
        my ($torn) = grep { /\.lp$/ && $_ ne $empty } @files;
        $lost += lines_in($torn);
        truncate $torn, int(0.7 * -s $torn) or die $!;
        $lost -= lines_in($torn);
        $there -= $lost;
        $db->start;
        $h->start;
        count_is($db, $there, 'the next start delivers all of it', seconds => 40,
            database => "all_$mpm", measurement => $LONG);
        ok(wait_until(10, sub { !grep { !/\.bad$/ } spool($h) }),
            'and no file is left but what was torn') or diag spool($h);
        accounts_ok($h, "$mpm: after the crashes");
        is((status($h) // {})->{points_sent}, $there, 'they count as sent');
        $h->stop;
    };
}

subtest 'kill -9 of the child that writes to the spool' => sub {
    my $h = server('holder', children => 3);
    $db->stop;
    my ($kills, $files, $r) = (0, 0, { sent => 0, complete => 0 });
    for (1 .. 15) {
        my $load = client(port => $h->port, n => 2000, c => 4, close => 1);
        wait_until(3, sub {
            my $pid = (status($h) // {})->{lease_holder};
            return 0 if !$pid || spool($h) <= $files || !$h->kill_child($pid);
            return ++$kills;
        });
        my $done = $load->wait;
        $r->{$_} += $done->{$_} for qw(sent complete);
        $files = spool($h);
        last if $kills >= 3;
    }
    cmp_ok($kills, '>=', 3, "killed $kills times");
    ok(wait_until(20, sub { (status($h) // {})->{lease_holder} }), 'one is left');
    my $s = status($h);
    # A child that is killed may have answered, and not yet logged, a request of
    # each connection.
    cmp_ok($s->{points_recorded}, '>=', $r->{complete} - 4 * $kills,
        'all are recorded');
    cmp_ok($s->{points_recorded}, '<=', $r->{sent} + $s->{dropped_torn},
        'and none twice');
    is($s->{points_sent}, 0, 'and none is sent');
    accounts_ok($h, 'killed');
    $db->start;
    # A line that a killed child had begun is found torn with the others.
    my $end;
    ok(wait_until(40, sub {
        $end = status($h) // return 0;
        return $end->{points_sent} + $end->{points_dropped}
            == $s->{points_recorded};
    }), 'each counts once') or diag explain $end;
    is($end->{points_dropped} - $s->{points_dropped},
        $end->{dropped_torn} - $s->{dropped_torn}, 'no whole one is given up');
    count_is($db, $end->{points_sent}, 'all are delivered', seconds => 40,
        database => 'holder', measurement => $LONG);
    ok(wait_until(20, sub { !spool($h) }), 'no file is left')
        or diag join "\n", spool($h);
    accounts_ok($h, 'delivered');
    $h->stop;
};

finish();

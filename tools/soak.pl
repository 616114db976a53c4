#!/usr/bin/perl
# soak.pl: whatever can happen, at random, for SOAK_SECONDS (600) at SOAK_RATE
# (5000) requests a second on SOAK_MPM (event): children and the one that
# delivers are killed, InfluxDB is paused, killed and started again, httpd is
# restarted gracefully and hard, with another size of the buffer, the disk of
# the spool is full, the clock is set.  In the end every point that was recorded
# is in InfluxDB, once.  SOAK_SEED repeats the order of events.
#
# SOAK_REPORT=default: the measurements of intervals too, as they are by default.
# Each request is in them once; but a line of theirs is sent twice when its
# writer was killed before it had said so (docs/measurements.md).
#
# Full disk: needs root, for a small file system; without, it is said and left
# out.  The clock is that of httpd alone: see t/unit/clock.c.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use ImxTest;
use List::Util ();
use Test::More;
use Time::HiRes qw(time sleep);
use Time::Local ();

my $seconds = $ENV{SOAK_SECONDS} || 600;
my $rate = $ENV{SOAK_RATE} || 5000;
my $mpm = $ENV{SOAK_MPM} || 'event';
my $reports = ($ENV{SOAK_REPORT} // 'none') eq 'default';
my $seed = $ENV{SOAK_SEED} || $$ ^ int time;
srand $seed;
note "SOAK_SEED=$seed";

my $connections = 16;
my $mounted;
my $owner = $$;
END { system 'umount', $mounted if $mounted && $$ == $owner }

my $db = influxd();
$db->query('CREATE DATABASE httpd');
my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1, start => 0,
    report => $reports ? 'events' : 'none',     # events are on by default
    ($mpm eq 'prefork' ? (children => 24) : (children => 3, threads => 16)));
my $spool = $h->dir . '/spool';
my $clock = $h->put('clock', pack 'q', 0);
my $full = make_small_disk();
diag 'not root, or no mount: the disk is never full' if !$full;
configure('32M');       # and never so small that points must be given up
start_with_clock();

my ($kills, $clock_fails, %done) = (0, 0);
my $watch = watch($h, pause => 0.1);
my $load = client(port => $h->port, c => $connections, seconds => $seconds,
    rate => $rate / $connections, timeout => 30);
my %event = (
    'a child is killed' => sub {
        my @children = $h->children or return;
        $kills += $h->kill_child($children[rand @children]);
    },
    'the one that delivers is killed' => sub {
        my $s = status($h) or return;
        $kills += $h->kill_child($s->{lease_holder});
    },
    'InfluxDB hangs' => sub { $db->pause; sleep 1 + rand 5; $db->resume },
    'InfluxDB is killed' => sub { $db->kill; sleep rand 6; $db->start },
    'graceful restart' => sub { $h->graceful },
    'hard restart' => sub { $h->restart },
    'another size' => sub {
        configure((24, 32, 40, 48)[rand 4] . 'M');
        $h->graceful;
    },
    $full ? ('the disk is full' => \&fill_disk) : (),
    'the clock is set' => \&set_clock,
);
my @order;
my $end = time + $seconds;
while (time < $end - 5) {
    @order = sort { rand > 0.5 ? 1 : -1 } sort keys %event if !@order;
    my $name = shift @order;
    $event{$name}->();
    $done{$name}++;
    sleep rand 1.5;
}
my $r = $load->wait;
my $s;
my $settled = wait_until(180, sub {
    $s = status($h) or return;
    return $s->{points_pending} + $s->{points_spooled} == 0
        && ($reports || $s->{points_sent} == $db->count);
});
ok($settled, 'all is delivered');
$watch->ok('soak');
accounts_ok($h, 'the end');
is($s->{points_sent}, $db->count, 'sent = stored, line for line') if !$reports;
is($s->{points_rejected}, 0, 'none refused');
is($s->{points_dropped}, $s->{dropped_torn}, 'none given up');
cmp_ok($s->{dropped_torn}, '<=', $kills * $connections,
    "$s->{dropped_torn} were being written by a child that was killed");
is($clock_fails, 0, 'the clock was set');
my $logged = $h->access_count;
my $all = $reports ? List::Util::sum0(values %{ stored() }) : $db->count;
my $points = $reports ? $db->count : $s->{points_recorded};
cmp_ok(abs($logged - $points), '<=', $kills, "$logged in the access log, "
    . "$points recorded: children killed between the two");
cmp_ok($r->{complete}, '>', 10 * $seconds, 'there was load');
my @crashes = grep { /exit signal/ && !/Killed \(9\)/ } $h->error_log;
is_deeply(\@crashes, [], 'no child died but by our hand');
ok(!(grep { /IMX00(?:27|28|33|34)/ } $h->error_log), 'the log tells of no loss')
    or diag join "\n", grep { /IMX00(?:27|28|33|34)/ } $h->error_log;
ok($h->stop, 'stops');
is($db->count, $reports ? $points : $s->{points_sent}, 'and that was all');
intervals_ok() if $reports;
diag sprintf '%d requests in %d s (%d/s), %d children killed; %s', $logged,
    $seconds, $logged / $seconds, $kills,
    join ', ', map { "$_: $done{$_}" } sort keys %done;
finish();

# ---------------------------------------------------------------------------

sub configure {
    my ($size) = @_;
    return $h->reconf(conf => "InfluxMetricsBufferSize $size\n"
        . "InfluxMetricsTimeout 2s 4s\nInfluxMetricsSpool $spool\n"
        . 'MaxConnectionsPerChild 20000');
}

# How many points of each measurement there are; not each has all fields.
sub stored {
    my %stored;
    for my $name (map { $_->{name} } $db->query('SHOW MEASUREMENTS')) {
        my ($row) = $db->query(qq{SELECT count(*) FROM "$name"});
        $stored{$name} = List::Util::max(map { $row->{$_} }
            grep { /^count_/ } keys %$row);
    }
    return \%stored;
}

sub sum_of {
    my ($field, $measurement) = @_;
    my ($row) = $db->query(qq{SELECT sum("$field") AS n FROM "$measurement"});
    return $row ? $row->{n} : 0;
}

# After the stop, which ends all intervals.
sub intervals_ok {
    my $stored = stored();
    note join ', ', map { "$_: $stored->{$_}" } sort keys %$stored;
    cmp_ok($stored->{$_} // 0, '>', 0, "there are points of $_")
        for qw(request-metrics request-buckets influx-metrics worker-states
            process-info resource-pressure server-events);
    is(sum_of(@$_), $s->{requests_counted}, "@$_: all requests, once")
        for ['request_count', 'request-metrics'], ['count', 'request-buckets'];
    cmp_ok(abs($s->{requests_counted} - $points), '<=', $kills,
        "$s->{requests_counted} requests counted: killed between the two");
    # Each end of a writer repeats at most an interval of each measurement.
    my $ends = $kills + List::Util::sum0(@done{grep { /restart|size/ }
        keys %done});
    my $again = List::Util::max(0, $s->{points_sent} - $all);
    cmp_ok($again, '<=', 250 * $ends,
        "$again lines were sent twice, as $ends of their writers ended");
}

# The spool on a file system of its own.
sub make_small_disk {
    return 0 if $>;
    mkdir $spool, 0700 or die "$spool: $!";
    my ($uid, $gid) = (getpwnam ImxTest::Httpd::_place()->{user})[2, 3];
    if (system("mount -t tmpfs -o size=48m,mode=700,uid=$uid,gid=$gid tmpfs "
        . "$spool 2>/dev/null") != 0) {
        rmdir $spool;
        return 0;
    }
    $mounted = $spool;
    return 1;
}

sub fill_disk {
    $db->pause;
    open my $f, '>', "$spool/filler" or die "$spool/filler: $!";
    my $block = 'x' x 65536;
    1 while syswrite $f, $block;
    close $f;
    sleep 4 + rand 3;       # the buffer takes it all meanwhile
    unlink "$spool/filler";
    $db->resume;
}

# Of httpd only: by up to four seconds, to and fro.
sub set_clock {
    my $step = int(rand 9) - 4;
    open my $f, '+<:raw', $clock or die "$clock: $!";
    syswrite $f, pack 'q', $step * 1e9;
    close $f;
    wait_until(5, sub { abs(seconds_off() - $step) < 1.5 })
        or $clock_fails++;
}

# httpd's clock against ours.
sub seconds_off {
    my ($day, $month, $year, $h_, $m, $s_) = (get($h->url)->{headers}{date}
        // '') =~ /(\d+) (\w+) (\d+) (\d+):(\d+):(\d+)/ or return 99;
    my @months = qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec);
    ($month) = grep { $months[$_] eq $month } 0 .. 11;
    return Time::Local::timegm($s_, $m, $h_, $day, $month, $year) + 0.5 - time;
}

sub start_with_clock {
    local %ENV = (%ENV, IMX_CLOCK => $clock);
    my $program = build() . '/unit/clock.so';
    die "$program is not there: run make units\n" if !-e $program;
    $ENV{IMX_PRELOAD} = join ' ', grep { defined } $ENV{IMX_PRELOAD}, $program;
    return $h->start;
}

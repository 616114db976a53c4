#!/usr/bin/perl
# write.pl [--bodies N] [--rounds N] [--rate POINTS]: how many points of
# applications one worker takes over one connection, in bodies of 5,000, N in a
# round; and what the requests beside it feel of 100,000 points a second
# (ImxRounds.pm says what is compared with what).  The server in the place of InfluxDB reads,
# answers 204 and keeps nothing.  Prints Markdown; fails when a point is lost.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use IO::Socket::INET;
use Time::HiRes qw(time sleep);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxChild;
use ImxBare;
use ImxReport;
use ImxRounds;
use ImxVisit;

my ($bodies, $rounds, $points) = (100, $ENV{BENCH_ROUNDS} // 20, 100_000);
my ($lines, $requests) = (5000, 2000);
GetOptions('bodies=i' => \$bodies, 'rounds=i' => \$rounds,
    'rate=i' => \$points)
    or die "usage: $0 [--bodies N] [--rounds N] [--rate POINTS]\n";

# Reads a head and a body; returns the head, undef at the end.
sub read_message {
    my ($s, $got) = @_;
    my $end;
    while (($end = index $$got, "\r\n\r\n") < 0) {
        sysread($s, $$got, 1 << 20, length $$got) or return;
    }
    my $head = substr $$got, 0, $end + 4, '';
    my $left = ($head =~ /^Content-Length: (\d+)/mi ? $1 : 0) - length $$got;
    while ($left > 0) {
        my $n = sysread $s, my $rest, 1 << 20 or return;
        $left -= $n;
    }
    $$got = '';
    return $head;
}

my $sink = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16,
    ReuseAddr => 1) or die "listen: $!\n";
my $sink_pid = fork_off(sub {
    while (my $s = $sink->accept) {
        fork_off(sub {
            my $got = '';
            while (read_message($s, \$got)) {
                syswrite $s, "HTTP/1.1 204 OK\r\n\r\n" or last;
            }
        });
    }
});

# It has a process for each connection.
sub sink_pids {
    return ($sink_pid, split ' ',
        slurp("/proc/$sink_pid/task/$sink_pid/children"));
}

# A thread for the points, and those for the requests are another child's.
sub server {
    return ImxBare->new(module => 1, figures => 1, children => 1,
        threads => 16, influx => 'http://127.0.0.1:' . $sink->sockport,
        report => 'requests=10s',
        conf => <<'CONF');
InfluxMetricsBufferSize 512M
<Location /influx>
SetHandler influx-metrics-write
</Location>
CONF
}

# As an application's are: two tags, three fields, a time.
my $body = join '', map {
    sprintf "orders,shop=shop%d,kind=kind%d items=%di,price=%.2f,paid=true "
        . "1763961600%09d\n", $_ % 20, $_ % 7, $_ % 100, $_ / 7, $_
} 1 .. $lines;
my $request = "POST /influx/write HTTP/1.1\r\nHost: a\r\nContent-Length: "
    . length($body) . "\r\n\r\n$body";

sub connect_to {
    my ($h) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $h->port)
        // die "connect: $!\n";
}

sub write_one {
    my ($s, $got) = @_;
    my $at = 0;
    while ($at < length $request) {
        $at += syswrite($s, $request, length($request) - $at, $at)
            // die "write: $!\n";
    }
    my $head = read_message($s, $got) // die "no answer\n";
    die $head if $head !~ /^HTTP\/1.1 204 /;
}

# ---- how many one worker takes ----

# A round ends when its points are delivered: that is in the processor time.
sub take {
    my ($h, $s) = @_;
    my ($child) = $h->children;
    my ($got, $cpu, $begin) = ('', ImxVisit::cpu_ns($child), time);
    write_one($s, \$got) for 1 .. $bodies;
    my $took = time - $begin;
    wait_until(60, sub { figures($h)->{points_pending} == 0 })
        or die "points are not delivered\n";
    my $n = $lines * $bodies;
    return { rate => $n / $took,
        of_cpu => $n * 1e9 / (ImxVisit::cpu_ns($child) - $cpu) };
}

# The control is the same server once more.
sub taken {
    my $h = server();
    my $s = connect_to($h);
    ImxVisit::pin_as_usual([$$, sink_pids()],
        [{ pids => ImxVisit::httpd_pids($h) }]);
    take($h, $s);               # warm: the buffer's memory is used once
    my $run = ImxRounds->new(rounds => $rounds,
        measure => sub { take($h, $s) });
    my $group = $run->group({ name => 'over one connection that is kept' },
        { name => 'the same once more: the control' });
    $run->run;
    die "points were lost\n" if figures($h)->{points_dropped}
        || figures($h)->{points_taken} != $lines * $bodies * (1 + 2 * $rounds);
    $h->stop;
    return $group;
}

# ---- what requests feel ----

# Writes bodies at the rate, until it is killed.
sub write_steadily {
    my ($h) = @_;
    my ($s, $got, $due) = (connect_to($h), '', time);
    while (1) {
        write_one($s, \$got);
        $due += $lines / $points;
        sleep($due - time) if $due > time;
        $due = time - 0.2 if $due < time - 0.2;
    }
}

my $taken = taken();
my $h = server();
my ($without, $control, $with) = map { { name => $_, path => '/index.html',
    port => $h->port, pids => ImxVisit::httpd_pids($h), sent => 0,
    rate => $requests } } 'without', 'without, once more: the control', 'with';
my %group;
for my $way (ImxVisit::ways()) {
    ImxVisit::pin($way, [$$, sink_pids()], [$without]);
    my $run = ImxRounds->new(rounds => $rounds, measure => \&measure);
    $group{$way} = $run->group($without, $control, $with);
    $run->run;
}
die "points were lost\n" if figures($h)->{points_dropped};
report();

sub measure {
    my ($s) = @_;
    my $pid = $s == $with ? fork_off(sub { write_steadily($h) }) : 0;
    my ($before, $begin) = (figures($h)->{points_taken}, time);
    my $got = ImxVisit::visit($s);
    $got->{points} = (figures($h)->{points_taken} - $before) / (time - $begin);
    end_child($pid) if $pid;
    return $got;
}

sub report {
    my ($base) = $taken->{base};
    print ImxReport::wrapped(sprintf 'Bodies of %d points (%d bytes), taken by '
        . "one worker: **%.0f points a second** (quartiles %.0f .. %.0f), and "
        . "%.0f (%.0f .. %.0f) a second of the child's processor time, its "
        . 'sending of them included. %d rounds of %d bodies; %s.', $lines,
        length $body, (map { (ImxRounds::quartiles($taken->all($base, $_)))
            [1, 0, 2] } qw(rate of_cpu)), $rounds, $bodies,
        ImxVisit::cores_in_words()), "\n";
    print $taken->table('points of applications', [rate => 'points a second',
        '%.0f'], [of_cpu => 'a second of processor time', '%.0f']), "\n";
    print ImxReport::wrapped(sprintf 'Beside %d requests a second (%s; '
        . '12-byte file), %d points a second. %s',
        $requests, ImxVisit::in_words($rounds),
        $group{ (ImxVisit::ways())[0] }->value($with, 'points'),
        ImxReport::PAIRS()), "\n";
    print join "\n", map { $group{$_}->table("points of applications, $_",
        [p50 => 'p50, ms', '%.3f'], [p99 => 'p99, ms', '%.2f']) }
        ImxVisit::ways();
}

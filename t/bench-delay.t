# The long way of bench-flusher (bench/delay.c): all bytes come through, in their
# order, none of them earlier than the way and its bandwidth allow; and what
# delivery makes of such a way: its lines arrive, no faster than the limit that
# the table has, with a second body only where one takes long.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(SHUT_WR);
use Test::More;
use Time::HiRes qw(time);

my $program = build() . '/bench-flusher';
die "$program is not there: run make units\n" if !-x $program;

my (@pids, @outs);       # an end that is closed is waited for
END { kill KILL => @pids if @pids }

my $LIMIT = 20;     # seconds, on a busy machine

# Sends back what comes, and ends each connection as its client does.
sub echo {
    my $listener = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1')
        or die "listen: $@\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        @pids = ();
        local $SIG{CHLD} = 'IGNORE';
        while (my $client = $listener->accept) {
            next if fork;
            while (sysread $client, my $data, 65536) {
                my $at = 0;
                $at += syswrite $client, $data, length($data) - $at, $at
                    while $at < length $data;
            }
            POSIX::_exit(0);
        }
        POSIX::_exit(0);
    }
    push @pids, $pid;
    return $listener->sockport;
}

sub proxy {
    my ($port, @options) = @_;
    my $pid = open my $out, '-|', $program, '--proxy-only', $port, @options
        or die "$program: $!\n";
    push @pids, $pid;
    push @outs, $out;
    my $own = <$out> // die "no port\n";
    return $own + 0;
}

sub connected {
    my ($port) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or die "$port: $@\n";
    $s->blocking(0);
    return $s;
}

# Sends all of it and then the end; what came back, until the end.
sub exchange {
    my ($s, $text) = @_;
    my ($at, $got, $end) = (0, '', time + $LIMIT);
    while (time < $end) {
        my $wants = IO::Select->new($at < length $text ? $s : ());
        my ($can_read, $can_write) = IO::Select->select(IO::Select->new($s),
            $wants, undef, 1) or next;
        if (@$can_write) {
            $at += syswrite($s, $text, length($text) - $at, $at) // 0;
            $s->shutdown(SHUT_WR) if $at == length $text;
        }
        next if !@$can_read;
        my $n = sysread $s, $got, 1 << 20, length $got;
        return $got if defined $n && $n == 0;
    }
    return "no end: $got";
}

sub there_and_back {
    my ($s, $begin) = @_;
    $begin //= time;
    syswrite $s, 'x';
    IO::Select->new($s)->can_read($LIMIT) && sysread $s, my $got, 1 or return -1;
    return time - $begin;
}

my $server = echo();

subtest 'the way there and back' => sub {
    my $port = proxy($server, '--delay', 50);
    my ($begin, $s) = (time, connected($port));
    cmp_ok(there_and_back($s, $begin), '>=', 0.1, 'the handshake goes before');
    my @took = sort { $a <=> $b } map { there_and_back($s) } 1 .. 10;
    cmp_ok($took[0], '>=', 0.05, 'then it is the delay');
    cmp_ok($took[0], '<', 0.1, '... and not twice of it');
};

my $text = join ' ', 1 .. 300_000;      # 2 MB, and no two parts are alike
subtest 'bytes and their order' => sub {
    for my $options ([], ['--delay', 50], ['--delay', 50, '--bandwidth', 4e6]) {
        ok(exchange(connected(proxy($server, @$options)), $text) eq $text,
            "all that went came back, and then the end: @$options");
    }
};

subtest 'bandwidth' => sub {
    my $port = proxy($server, '--bandwidth', 4e6);
    my ($begin, @clients) = (time, connected($port), connected($port));
    for my $s (@clients[0, 1]) {
        my $pid = fork // die "fork: $!\n";
        next if $pid;
        @pids = ();
        POSIX::_exit(exchange($s, $text) eq $text ? 0 : 1);
    }
    my $bad = 0;
    for (1 .. 2) {
        wait;
        $bad ||= $?;
    }
    is($bad, 0, 'two connections at once');
    cmp_ok(time - $begin, '>=', 2 * length($text) / 4e6,
        'have no more than one could have');
};

# Nobody reads.
subtest 'memory' => sub {
    my $listener = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1');
    my $s = connected(proxy($listener->sockport, '--delay', 10));
    my ($taken, $piece) = (0, 'x' x 65536);
    while ($taken < 100e6 && IO::Select->new($s)->can_write(2)) {
        $taken += syswrite($s, $piece) // 0;
    }
    cmp_ok($taken, '<', 100e6, 'what cannot be passed on is not taken');
    ok(kill(0 => $pids[-1]), '... and the proxy waits');
};

# The figures of one run.
sub deliver {
    my ($lines, @options) = @_;
    my $text = qx($program --burst $lines @options 2>&1);
    is($?, 0, 'it ends well') or diag $text;
    my @count = $text =~ /^\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|/m;
    is_deeply(\@count, [($lines) x 3, 0], 'all lines are acknowledged') or diag $text;
    my ($row) = $text =~ /^\| as asked for (\| [\d.]+ \| \d+ \| .*)/m or diag $text;
    my (undef, undef, undef, undef, $rate, $one, $two, undef, $at_once) =
        split / *\| */, $row // '';
    return { rate => $rate, one => $one, two => $two, at_once => $at_once };
}

subtest 'delivery, 50 ms' => sub {
    my $f = deliver(30_000, '--delay 50', '--bandwidth 12500000');
    is($f->{at_once}, 1, 'one body is under way');
    # 10,000 lines of 200 bytes: 160 ms on the network, and 50
    cmp_ok(abs($f->{one} - 10_000 / 0.21), '<', 100, 'what one at a time allows');
    cmp_ok(abs($f->{two} - 62_500), '<', 100, 'two: what the network can take');
    cmp_ok($f->{rate}, '<', $f->{one}, 'there are no more lines than that');
};

subtest 'delivery, a slow way' => sub {
    my $f = deliver(80_000, '--delay 50', '--bandwidth 2000000', '--lines 10000');
    is($f->{at_once}, 2, 'two bodies are under way, as one takes a second');
    cmp_ok($f->{rate}, '<=', $f->{two}, '... and share the way');
};

finish();

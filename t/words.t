# What the page says is wrong: each sentence is there when its trouble is made,
# with what to do, in HTML, JSON and text, and in influx-metrics-top --once with
# its exit status; and gone when the trouble is over.
# IMX_LONG=1 also waits for the end of what is said for 70 s: points that were
# refused or lost.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTerminal;
use ImxTest;
use IO::Select;
use IO::Socket::INET;
use JSON::PP qw(decode_json encode_json);
use Test::More;
use Time::HiRes ();

my @stopped;
END { kill CONT => @stopped if @stopped }

# The sentence, or nothing.
sub said {
    my ($h, $what) = @_;
    return grep { $_->{what} =~ $what } @{ (status($h) // {})->{words} // [] };
}

# What --once has printed, and its exit status: 0, 1 or 2 by the worst level, which
# is in the first line.
sub is_once {
    my ($name, $what, $level, $status, $text) = @_;
    my ($worst) = $text =~ /\A([A-Z]+): /;
    is($status, { WELL => 0, WARNING => 1, CRITICAL => 2 }->{$worst // ''},
        "$name: the exit status");
    like($text, qr/^\U$level\E: [^\n]*$what/m, "$name: the sentence");
}

# It is said, in all forms, and is what is to be said first at that level.
sub is_said {
    my ($h, $name, $what, %o) = @_;
    my ($word, $text, $html, @once);
    my $is_so = sub {
        ($word) = said($h, $what) or return 0;
        $text = get($h->url('/?auto', 'figures'))->{content};
        $html = get($h->url('/', 'figures'))->{content};
        @once = top_once($h->url('/', 'figures'));
        return $text =~ /^words:.*$what/m && $html =~ $what
            && $once[1] =~ $what;
    };
    ok(wait_until($o{seconds} // 30, $is_so), "$name: it is said, everywhere")
        or return diag explain $word, $text, \@once, status($h)->{words};
    is_once("$name: --once", $what, $word->{level}, @once);
    is($word->{level}, $o{level} // 'critical', "$name: the level");
    is($word->{id}, $o{id} // '', "$name: the message of the log");
    like($word->{todo}, $o{todo} // qr/./, "$name: what to do");
    my @levels = map { $_->{level} } @{ status($h)->{words} };
    my %worth = (well => 0, warning => 1, critical => 2);
    is_deeply([map { $worth{$_} } @levels],
        [sort { $b <=> $a } map { $worth{$_} } @levels],
        "$name: the worst first");
}

sub is_over {
    my ($h, $name, $what, $seconds) = @_;
    my @once;
    ok(wait_until($seconds // 30, sub {
        return 0 if !status($h) || said($h, $what);
        @once = top_once($h->url('/', 'figures'));
        return $once[0] < 3 && $once[1] !~ $what;
    }), "$name: it is over") or diag explain \@once, status($h)->{words};
}

my $well = qr/InfluxDB took the last points \d+ seconds? ago\./;

sub ask { get($_[0]->url('/')) for 1 .. $_[1] // 1 }

# ---- points that are refused or lost: said for 70 s after the last one ----

my $db = influxd();
my $typed = httpd(module => 1, influx => $db, figures => 1,
    conf => 'InfluxMetricsDatabase typed');
$db->query('CREATE DATABASE typed');
my $written = http('POST', $db->url('/write?db=typed'), { content =>
    'raw-requests bytes_sent="text" ' . time . "000000000\n" });
is($written->{status}, 204, 'a field of another type');
ask($typed, 5);
my $refused = qr/InfluxDB refuses points: [^.]*field type conflict/;
is_said($typed, 'type conflict', $refused, id => 'IMX0022',
    todo => qr/error log names one/);
my ($word) = said($typed, $refused);
like($word->{what}, qr/5 points were refused in the last \d+ second/,
    'type conflict: how many');
unlike($word->{what}, qr/text/, 'type conflict: no value');

my $full = httpd(module => 1, influx => 'http://127.0.0.1:9', figures => 1,
    conf => 'InfluxMetricsBufferSize 1M');
load(url => $full->url, n => 12_000, c => 4);
my $lost = qr/Points are being lost: the buffer is full\. [\d,]+ points were/;
is_said($full, 'buffer full', $lost, id => 'IMX0027',
    todo => qr/InfluxMetricsBufferSize, or InfluxMetricsSpool/);
is_said($full, 'outage with losses',
    qr/points in the buffer|InfluxDB has taken no points for .*lost meanwhile/,
    id => 'IMX0020', todo => qr/Is InfluxDB running/);
my $since = time;

# ---- InfluxDB ----

subtest 'InfluxDB stopped' => sub {
    my $influx = influxd();
    my $h = httpd(module => 1, influx => $influx, figures => 1);
    ask($h, 3);
    is_said($h, 'well', $well, level => 'well', todo => qr/^$/);
    $influx->stop;
    ask($h, 7);
    my $down = qr/InfluxDB has taken no points for .*Nothing is lost: 7 points/;
    is_said($h, 'stopped', $down, id => 'IMX0020',
        todo => qr/Is InfluxDB running/);
    is_said($h, 'when it is full', qr/in the buffer, which is full in about /,
        id => 'IMX0020');
    ok(!said($h, $well), 'stopped: nothing is well');
    $influx->start;
    is_over($h, 'stopped', qr/taken no points/, 60);
    is_said($h, 'well again', $well, level => 'well', todo => qr/^$/);
    ok($h->stop, 'stops');
};

subtest 'wrong token' => sub {
    my $standin = ImxStandin->new(wrong => sub {
        return answer(401, '{"code":"unauthorized","message":"unauthorized '
            . 'access"}') });
    $standin->mode('wrong');
    my $h = httpd(module => 1, influx => $standin->url, figures => 1,
        start => 0);
    my $token = $h->secret('token', "wrong\n");
    $h->reconf(conf => "InfluxMetricsBucket org bucket\n"
        . "InfluxMetricsTokenFile $token")->start;
    ask($h);
    is_said($h, 'wrong token', qr/taken no points for .*unauthorized/,
        id => 'IMX0020', todo => qr/^$|InfluxMetricsTokenFile/);
    my ($w) = said($h, qr/unauthorized/);
    like("$w->{what} $w->{todo}", qr/InfluxMetricsTokenFile/,
        'wrong token: the directive');
    $standin->mode('ok');
    is_over($h, 'wrong token', qr/unauthorized/, 60);
    ok($h->stop, 'stops');
};

subtest 'the child that delivers is stopped' => sub {
    my $h = httpd(module => 1, influx => $db, figures => 1, children => 4,
        threads => 8, conf => 'InfluxMetricsDatabase stopped');
    ask($h);
    is_said($h, 'well', $well, level => 'well', todo => qr/^$/);
    my $holder = figures($h)->{lease_holder};
    push @stopped, $holder;
    kill STOP => $holder;
    my $silent = "Nobody delivers: the child that has the lease, process "
        . "$holder, has done nothing for \\d+ second";
    is_said($h, 'stopped holder', $silent, id => 'IMX0080', seconds => 60,
        todo => qr/process $holder/);
    kill CONT => $holder;
    is_over($h, 'stopped holder', qr/Nobody delivers/);
    ok($h->stop, 'stops');
};

# ---- the server ----

# Connections with the begin of a request: each holds a worker, or waits for
# one.
sub begin_requests {
    my ($port, $count) = @_;
    return map {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $port, Timeout => 10) or die "connect: $!";
        syswrite $s, "GET /?json HTTP/1.1\r\nHost: localhost\r\n";
        $s;
    } 1 .. $count;
}

# The page, on a connection that has begun a request.
sub page_on {
    my ($s, $close) = @_;
    syswrite $s, ($close ? "Connection: close\r\n" : '') . "\r\n";
    my ($got, $ready) = ('', IO::Select->new($s));
    while ($got !~ /\n\}\n/) {
        $ready->can_read(20) && sysread $s, $got, 65536, length $got
            or die "no page, but $got";
    }
    my ($json) = $got =~ /\r\n\r\n(?:[0-9a-f]+\r\n)?(\{.*\})/s;
    $json =~ s/\r\n[0-9a-f]+\r\n//g if $got =~ /chunked/;
    return decode_json($json);
}

# --once, of an answer that the page has given: it has no worker to ask for one.
sub once_of {
    my ($page) = @_;
    my $text = encode_json($page);
    my $s = ImxStandin->new(page => sub { return answer(200, $text) });
    $s->mode('page');
    my @once = top_once($s->url . '/');
    $s->stop;
    return @once;
}

subtest 'all workers busy' => sub {
    my $h = httpd(module => 1, influx => $db, figures => 1, children => 2,
        threads => 4, report => 'requests=1s',
        conf => "InfluxMetricsDatabase busy\nTimeout 300\n");
    my @pages = begin_requests($h->port('figures'), 5);
    my @held = begin_requests($h->port, 3);
    my @waiting = begin_requests($h->port, 6);
    my ($status, $text) = top_runs({}, '--once', '--timeout', 2,
        $h->url('/', 'figures'));
    is($status, 3, '--once gets no worker: the exit status');
    like($text, qr/\AUNKNOWN: .* has not answered within .*workers of httpd/,
        '... and why');
    my (@words, $busy, $page);
    # As a mean of ten seconds; a look sets one worker free, for one that waits.
    while (my $s = shift @pages) {
        nap(@pages ? 5 : 1);
        @words = @{ ($page = page_on($s, 1))->{words} };
        ($busy) = grep { $_->{what}
            =~ /^All 8 workers are busy and [1-9]\d* connections? waits?\b/
        } @words;
        last if $busy;
    }
    ok($busy, 'all workers busy: it is said') or diag explain \@words;
    is($busy->{level}, 'critical', '... the level');
    like($busy->{todo}, qr/MaxRequestWorkers/, '... what to do');
    is_once('--once', qr/All 8 workers are busy/, 'critical', once_of($page));
    close $_ for @held, @waiting, @pages;
    is_over($h, 'all workers busy', qr/workers are busy/, 30);
    ok($h->stop, 'stops');
};

# In worker, one child at a time accepts connections: when that one is stopped,
# they wait although there are workers.
subtest 'a child is stuck' => sub {
    my $h = httpd(module => 1, influx => $db, figures => 1, mpm => 'worker',
        children => 3, threads => 4,
        conf => "InfluxMetricsDatabase stuck\nTimeout 300\n"
            . "KeepAliveTimeout 300\n");
    my $page = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $h->port('figures'), Timeout => 10) or die "connect: $!";
    my $seen;
    my $look = sub {
        syswrite $page, "GET /?json HTTP/1.1\r\nHost: localhost\r\n";
        $seen = page_on($page);
        return grep { $_->{what} =~ /^Connections wait although/ }
            @{ $seen->{words} };
    };
    # The child that serves this connection, and the one that delivers, go on.
    ok(wait_until(20, sub { $look->(); @{ $seen->{processes} } == 4 }),
        'all processes are seen');
    my %needed = map { $_->{pid} => 1 } grep { $_->{busy} }
        @{ $seen->{processes} };
    $needed{ $seen->{lease_holder} } = 1;
    # Which of the others accepts is not known, so each is tried.
    my @waiting;
    for my $child ((grep { !$needed{$_} } $h->children) x 30) {
        push @stopped, $child;
        kill STOP => $child;
        @waiting = begin_requests($h->port, 3);
        syswrite $_, "\r\n" for @waiting;
        last if !IO::Select->new(@waiting)->can_read(2);
        kill CONT => $child;
        @waiting = ();
        ask($h, 3);
    }
    SKIP: {
        skip 'the child that accepts was never the one that was stopped', 4
            if !@waiting;
        my ($word);
        ok(wait_until(30, sub { ($word) = $look->() }),
            'connections wait: it is said') or diag explain $seen;
        like($word->{what} // '', qr/workers are free: a child may be stuck/,
            '... as it is');
        is_once('--once', qr/Connections wait although/, 'warning',
            once_of($seen));
    }
    kill CONT => $_ for splice @stopped;
    ok(wait_until(30, sub { !$look->() }), 'and is over');
    close $page;
    ok($h->stop, 'stops');
};

subtest 'slow clients' => sub {
    my $h = httpd(module => 1, influx => $db, figures => 1,
        report => 'requests=1s', conf => "InfluxMetricsDatabase slow\n"
            . 'InfluxMetricsFields +output_time');
    $h->put('htdocs/large', 'x' x 8_000_000);
    my $slow = qr/Most of the time goes into sending to slow clients/;
    my $found;
    for (1 .. 20) {
        raw($h->port, "GET /large HTTP/1.1\r\nHost: x\r\nConnection: close"
            . "\r\n\r\n", rcvbuf => 8192, read_pause => 1);
        $found = wait_until(2, sub { said($h, $slow) }) and last;
    }
    ok($found, 'slow clients: it is said') or diag explain status($h)->{words};
    is_said($h, 'slow clients', $slow, level => 'warning');
    ask($h, 20);
    is_over($h, 'slow clients', $slow);
    ok($h->stop, 'stops');
};

# Whether there is such trouble now is not ours to say: what is said is what the
# kernel says.
subtest 'processors' => sub {
    plan skip_all => 'the kernel has no /proc/pressure/cpu'
        if !-r '/proc/pressure/cpu';
    my $some = sub { (slurp('/proc/pressure/cpu') =~ /^some avg10=([\d.]+)/)[0] };
    my $looks = 0;
    for (1 .. 20) {
        my $before = $some->();
        my ($w) = said($full, qr/^Processors are the limit/);
        my ($status, $once) = top_once($full->url('/', 'figures'));
        my $after = $some->();
        next if ($before >= 40) != ($after >= 40);
        $looks++;
        is($w ? 1 : 0, $before >= 40 ? 1 : 0, "at $before %");
        like($w->{what}, qr/ \d+ % of the last 10 s\.$/, '... how much') if $w;
        my $known = $once =~ /^WARNING: Processors are the limit/m;
        is($known ? 1 : 0, $w ? 1 : 0, '... in --once, too');
        nap(0.2);
    }
    cmp_ok($looks, '>', 0, "$looks looks");
};

# ---- the end of what is said for 70 s ----

is_over($typed, 'not yet', qr/^$/);
if ($ENV{IMX_LONG}) {
    is_over($typed, 'type conflict', $refused, 100);
    is_over($full, 'buffer full', $lost, 100);
    cmp_ok(time - $since, '>', 60, 'they are said for a while');
}
else {
    ok(said($typed, $refused), 'type conflict: is said for a while')
        if time - $since < 60;
}
is_deeply([grep { !/IMX0022/ } $typed->complaints], [], 'no complaint');
ok($_->stop, 'stops') for $typed, $full;
finish();

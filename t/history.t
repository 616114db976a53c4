# The history: each second of ten minutes is there, over graceful restarts and
# when a holder is killed, and the sum over all of them is what was requested;
# what ?json, ?json&since=N and ?json&history give; what InfluxDB's absence marks.
# IMX_HISTORY_SECONDS=610: for so many seconds instead of 30; then some have left
# the ring, and the sums are not looked at.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use JSON::PP ();
use List::Util qw(max min sum0);
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{IMX_HISTORY_SECONDS} || 30;
# A restart or a kill can leave nobody to close a second, each for one second:
# worker starts children once a second, a killed holder is missed after one.
my $may_miss = $seconds >= 600 ? 10 : 4;

sub json {
    my ($h, $query) = @_;
    my $answer = get($h->url("/$query", 'figures'));
    return eval { JSON::PP->new->utf8->decode($answer->{content}) };
}

# Numbers, or nothing at all, in arrays of one length.
sub columns_ok {
    my ($c, $name, $step) = @_;
    my $n = @{ $c->{time} };
    my @bad = grep { ref $c->{$_} ne 'ARRAY' || @{ $c->{$_} } != $n }
        qw(requests errors aborted p50 p95 p99 max busy listen_queue);
    my ($heat, $hosts) = $c->{coarse} ? @{ $c->{coarse} }{qw(heat hosts)}
        : @$c{qw(heat hosts)};
    my $points = $c->{coarse} ? @{ $c->{coarse}{time} } : $n;
    push @bad, 'heat' if @{ $heat->{count} } != $points
        || grep { @$_ > @{ $heat->{upper} } } @{ $heat->{count} };
    for my $host (values %$hosts) {
        push @bad, 'hosts' if grep { @{ $host->{$_} } != $points }
            qw(requests errors p50 p95 p99);
    }
    push @bad, 'step' if $c->{step} != $step
        || grep { $c->{time}[$_] - $c->{time}[$_ - 1] < $step } 1 .. $n - 1;
    return is_deeply(\@bad, [], $name);
}

# Each of the requests is in a bucket, and of a host.
sub sums_ok {
    my ($s, $log, $name) = @_;
    is(sum0(map { @$_ } @{ $s->{heat}{count} }), $log,
        "$name: each is in a bucket");
    my %sum = map { my $host = $_;
        ($host => { map { my $column = $_;
            ($column => sum0 map { $_ // 0 } @{ $s->{hosts}{$host}{$column} })
        } qw(requests errors) }) } keys %{ $s->{hosts} };
    my ($one, $other) = @sum{qw(imx.test other.test)};
    is($one->{requests} + $other->{requests}, $log, "$name: and has a host");
    is($other->{errors}, $other->{requests}, "$name: 5xx of a host");
    is($other->{errors}, sum0(map { $_ // 0 } @{ $s->{errors} }),
        "$name: 5xx of all");
    return;
}

# The last ten seconds, by host; and what since=N gives.
sub now_ok {
    my ($h, $name) = @_;
    my ($now, %host);
    ok(wait_until(30, sub {
        $now = json($h, '?json') // return;
        %host = map { ($_->{name} => $_) } @{ $now->{hosts} };
        return ($host{'other.test'}{requests} // 0) > 5;
    }), "$name: requests a second of a host") or diag explain $now;
    my $other = $host{'other.test'};
    is($other->{errors}, $other->{requests}, "$name: all of them are errors");
    cmp_ok(abs(sum0(map { $_->{busy} } values %host) - 1), '<', 0.01,
        "$name: shares of the busy time add up");
    cmp_ok($other->{p50}, '<=', $other->{p99}, "$name: percentiles");
    cmp_ok($other->{requests_total}, '>=', $other->{requests},
        "$name: all since the start");
    ok(!exists $now->{seconds}, "$name: no seconds, as none were asked for");
    # Those before it may be of a time in which the server was not there.
    my $n = $now->{sequence};
    my $more;
    ok(wait_until(20, sub {
        $more = json($h, "?json&since=$n") // return;
        return $more->{sequence} >= $n + 4;
    }), "$name: time goes on");
    # A second that nobody closed, on a busy machine, is there without numbers,
    # whether it has a number in the sequence or not.
    my ($behind, @seconds) = ($more->{sequence} - $n,
        @{ $more->{seconds}{requests} });
    cmp_ok(scalar @seconds, '>=', $behind, "$name: the seconds behind N");
    cmp_ok(scalar(grep { defined } @seconds), '<=', $behind,
        "$name: ... and no other");
    ok(defined $seconds[-1], "$name: ... with numbers");
    cmp_ok(abs($more->{seconds}{time}[-1] - time), '<', 5 * slow(),
        "$name: up to now");
    my $all = @{ json($h, '?json&since=0')->{seconds}{time} };
    for my $since ('', '=', '=x', '=' . ($n + 1000)) {
        cmp_ok(scalar @{ json($h, "?json&since$since")->{seconds}{time} },
            '>=', $all, "$name: since$since: all there are");
    }
    return;
}

# ---- restarts and a killed holder ----

my %server = map {
    my ($mpm) = $_;
    ($mpm => httpd(mpm => $mpm, module => 1, influx => 'http://127.0.0.1:1',
        figures => 1, modules => ['alias'],
        ($mpm eq 'prefork' ? (children => 5) : (children => 2)),
        vhosts => ['other.test' => 'RedirectMatch 503 ^/down']));
} qw(event worker prefork);

sub kill_holder {
    my ($h) = @_;
    return wait_until(20, sub {
        my $s = status($h);
        my ($pid) = grep { $s && $_ == $s->{lease_holder} } $h->children;
        return $pid && $h->kill_child($pid);
    });
}

my %began;
for my $mpm (sort keys %server) {
    wait_until(20, sub { (json($server{$mpm}, '?json') // {})->{sequence} });
    $began{$mpm} = json($server{$mpm}, '?json')->{sequence};
}
my $begin = time;
my %loads = map {
    my $h = $server{$_};
    ($_ => [client(port => $h->port, c => 2, seconds => $seconds, rate => 20),
        client(port => $h->port('other.test'), c => 1, seconds => $seconds,
            rate => 10, path => '/down')]);
} keys %server;
now_ok($server{event}, 'now');
for my $what (qw(graceful graceful kill graceful)) {
    nap($seconds / 5 - 1);
    for my $h (values %server) {
        $what eq 'kill' ? kill_holder($h) : $h->graceful;
    }
}
nap(max(0, $begin + $seconds - time));
for my $mpm (sort keys %server) {
    my $h = $server{$mpm};
    $_->wait for @{ $loads{$mpm} };
    my $log = $h->access_count;
    my $is_all = $seconds < 580;
    my $all;
    ok(wait_until(20, sub {
        $all = json($h, '?json&since=1') // return;
        return !$is_all
            || sum0(map { $_ // 0 } @{ $all->{seconds}{requests} }) == $log;
    }), "$mpm: the sum over all seconds is what was requested ($log)")
        or diag sum0 map { $_ // 0 } @{ $all->{seconds}{requests} };
    my $s = $all->{seconds};
    columns_ok($s, "$mpm: the seconds", 1);
    my @since = grep { $s->{time}[$_] > $began{$mpm} } 0 .. $#{ $s->{time} };
    my $missing = grep { !defined $s->{requests}[$_] } @since;
    my $more = slow() > 1.5 ? 2 * slow() : 0;   # a busy machine
    cmp_ok($missing, '<=', $may_miss + $more,
        "$mpm: $missing seconds are missing of " . @since);
    cmp_ok(scalar @since, '>=', min(600, int $seconds),
        "$mpm: and all others are there");
    sums_ok($s, $log, $mpm) if $is_all;

    my $past = json($h, '?json&history');
    columns_ok($past->{minutes10}, "$mpm: ten minutes", 2);
    columns_ok($past->{hours24}, "$mpm: 24 hours", 60);
    my %kinds;
    $kinds{$_->{kind}}++ for @{ $past->{events} };
    is($kinds{start}, 1, "$mpm: marks: the start");
    is($kinds{graceful}, 3, "$mpm: marks: the restarts");
    is($kinds{child_killed}, 1, "$mpm: marks: the killed child");
    cmp_ok($kinds{holder}, '>=', 4, "$mpm: marks: other holders");
    is($kinds{outage}, 1, "$mpm: marks: InfluxDB is away");
    is_deeply([grep { $_->{time} < $begin - 60 || $_->{time} > time + 1
            || $_->{text} !~ /^\w.*\w$/ } @{ $past->{events} }], [],
        "$mpm: each with its time and a sentence");
    $h->stop;
}
finish();

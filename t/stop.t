# The ways to stop: how long they take with InfluxDB hung or down, where the
# points are afterwards, and that the next server can start at once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;
use Time::HiRes qw(time);

my $db = influxd();
my @mpms = split ' ', $ENV{MPMS} || 'event worker prefork';

sub server {
    my ($mpm, $database, %o) = @_;
    $db->query("CREATE DATABASE $database");
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        children => $mpm eq 'prefork' ? 8 : 2, %o, conf => sub {
            my $text = "InfluxMetricsDatabase $database\n" . ($o{conf} // '');
            $text .= 'InfluxMetricsSpool ' . $_[0]->dir . "/spool\n"
                if $o{spool};
            return $text;
        });
    $h->{database} = $database;
    # A line was delivered: so there is a holder, and it has a connection.
    get($h->url);
    wait_until(20, sub { (status($h) // {})->{points_sent} == 1 })
        or die "$mpm: no point arrives";
    return $h;
}

# Ends by itself?  Returns the seconds it took.
sub seconds_to_end {
    my ($h) = @_;
    my $begin = time;
    wait_until(20, sub { !$h->alive }) or return 99;
    return time - $begin;
}

# As systemd stops Debian's httpd (KillMode=mixed): graceful-stop, SIGTERM for
# the parent, SIGKILL for the rest as soon as the parent is gone.
sub stop_like_systemd {
    my ($h) = @_;
    my @children = $h->children;
    my $seen = sub { scalar grep { /caught SIGWINCH/ } $h->error_log };
    my $before = $seen->();
    kill WINCH => $h->pid;
    wait_until(10, sub { $seen->() > $before || !$h->alive });
    kill TERM => $h->pid if $h->alive;
    my $seconds = seconds_to_end($h);
    kill KILL => grep { slurp("/proc/$_/cmdline") =~ /\Q@{[$h->dir]}\E/ }
        @children;
    return $seconds;
}

my %stop = (
    TERM => sub { kill TERM => $_[0]->pid; seconds_to_end($_[0]) },
    WINCH => sub { kill WINCH => $_[0]->pid; seconds_to_end($_[0]) },
    systemd => \&stop_like_systemd,
);

sub given_up {
    my ($h) = @_;
    my ($n) = map { /IMX0033: (\d+) points are given up/ } $h->error_log;
    return $n // 0;
}

sub files { my @f = glob($_[0]->dir . '/spool/*'); return @f }

# InfluxDB hangs: what it was sent may be stored or not, so nothing is said here
# of how many are given up.  (worker is like event here.)
for my $mpm (grep { $_ ne 'worker' } @mpms) {
    for my $how (qw(TERM systemd), $mpm eq 'prefork' ? 'WINCH' : ()) {
        my $spool = $how eq 'systemd';
        my ($h, $seconds, $database);
        # httpd itself waits whole seconds here, and for children that a busy
        # machine keeps: the best of three.
        for my $try (1 .. 3) {
            $database = "hung_${mpm}_${how}_$try";
            $h = server($mpm, $database, spool => $spool);
            $db->pause;
            load(url => $h->url, n => 400, c => 4);
            accounts_ok($h, "$mpm: hung");
            $seconds = $stop{$how}->($h);
            $db->resume;
            last if $seconds < 4 * slow();
        }
        cmp_ok($seconds, '<', 4 * slow(),
            sprintf '%s: %s while InfluxDB hangs: %.2f s', $mpm, $how,
                $seconds);
        ok(!(grep { /AH00045|AH00046/ } $h->error_log),
            "$mpm: $how: httpd does not become impatient");
        next if !$spool;
        # At once, on the same port; the same bytes do not count twice.
        $h->start;
        count_is($db, $h, "$mpm: the next start delivers all of it",
            database => $database);
        ok(wait_until(10, sub { !files($h) }), "$mpm: no file is left");
        accounts_ok($h, "$mpm: started");
        ok($h->stop, "$mpm: stops");
    }

    # A hard restart (HUP) waits for the children, as a stop does.
    my $h = server($mpm, "restart_$mpm");
    $db->pause;
    load(url => $h->url, n => 200, c => 4);
    my $begin = time;
    $h->restart;
    my $seconds = time - $begin;
    cmp_ok($seconds, '<', 4 * slow(),
        sprintf '%s: a hard restart while InfluxDB hangs: %.2f s', $mpm,
            $seconds);
    $db->resume;
    count_is($db, $h, "$mpm: and all points arrive",
        database => "restart_$mpm");
    ok($h->stop, "$mpm: stops");
}

# InfluxDB is down, with a spool and without.
for my $mpm (@mpms) {
    for my $how (qw(TERM systemd)) {
        my $with = server($mpm, "spool_${mpm}_$how", spool => 1);
        my $without = server($mpm, "none_${mpm}_$how");
        $db->stop;
        for my $h ($with, $without) {
            load(url => $h->url, n => 500, c => 4);
            wait_until(10, sub { $h->access_count == 501 });
            accounts_ok($h, "$mpm: $how: down");
            my $seconds = $stop{$how}->($h);
            cmp_ok($seconds, '<', 2 * slow(),
                sprintf '%s: %s while InfluxDB is down: %.2f s', $mpm, $how,
                    $seconds);
        }
        is(given_up($without), 500,
            "$mpm: $how: the log says how many points it gave up");
        is(given_up($with), 0, "$mpm: $how: with a spool none");
        my @files = files($with);
        cmp_ok(scalar @files, '>', 0, "$mpm: $how: they are in files");
        my $owner = $> ? $> : getpwnam ImxTest::Httpd::_place()->{user};
        is_deeply([grep { (stat)[4] != $owner } @files], [],
            "$mpm: $how: of the server's user");
        $db->start if $how eq 'TERM';
        $with->start;
        load(url => $with->url, n => 100, c => 2);
        accounts_ok($with, "$mpm: $how: the next server");
        $db->start if $how ne 'TERM';
        count_is($db, 601, "$mpm: $how: it delivers them",
            database => "spool_${mpm}_$how", seconds => 60);
        accounts_ok($with, "$mpm: $how: delivered");
        ok($with->stop, "$mpm: stops");
        is($db->count('raw-requests', "none_${mpm}_$how"), 1,
            "$mpm: $how: what was given up is not there");
    }
}

# The children are killed and cannot write: the parent's helper does, as the
# server's user, and the next start has its port.
for my $mpm (@mpms) {
    my $h = server($mpm, "helper_$mpm", spool => 1);
    $db->stop;
    load(url => $h->url, n => 500, c => 4);
    wait_until(10, sub { $h->access_count == 501 });
    my @children = $h->children;
    kill STOP => @children;     # none of them can do anything any more
    kill TERM => $h->pid;
    select undef, undef, undef, 0.1;
    kill KILL => @children;
    ok(wait_until(20, sub { !$h->alive }), "$mpm: ends");
    is(given_up($h), 0, "$mpm: nothing is given up");
    my @files = files($h);
    cmp_ok(scalar @files, '>', 0, "$mpm: the helper has written files");
    my $owner = $> ? $> : getpwnam ImxTest::Httpd::_place()->{user};
    is_deeply([grep { (stat)[4] != $owner } @files], [],
        "$mpm: without root's rights");
    $db->start;
    $h->start;
    count_is($db, 501, "$mpm: all is delivered", database => "helper_$mpm",
        seconds => 60);
    ok($h->stop, "$mpm: stops");
}

# A child that hangs in a request while the others stop.
for my $mpm (grep { $_ ne 'worker' } @mpms) {
    my $h = server($mpm, "request_$mpm", spool => 1, conf => "Timeout 60\n");
    $db->stop;
    my $hung = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $h->port) or die "connect: $!";
    syswrite $hung, "GET / HTTP/1.1\r\n";
    load(url => $h->url, n => 300, c => 4);
    wait_until(10, sub { $h->access_count >= 301 });
    my $seconds = stop_like_systemd($h);
    # httpd itself waits until the parent kills the child, after 10 s.
    cmp_ok($seconds, '<', 13 * slow(),
        sprintf '%s: with a request that hangs: %.2f s', $mpm, $seconds);
    is(given_up($h), 0, "$mpm: nothing is given up");
    $db->start;
    $h->start;
    count_is($db, $h, "$mpm: and nothing is lost", seconds => 60,
        database => "request_$mpm");
    ok($h->stop, "$mpm: stops");
}

finish();

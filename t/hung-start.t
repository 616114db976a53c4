# A secret on a disk that hangs: neither a start nor a graceful restart waits for
# it, and the log says so.  The disk is a FUSE directory whose daemon is stopped.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(time);

my ($daemon, $at);
my $owner = $$;

END {
    if ($$ == $owner && $daemon) {
        local ($?, $!);
        kill $_ => $daemon for qw(CONT KILL);
        waitpid $daemon, 0;
        system "umount -l '$at' 2>/dev/null";
    }
}

# Shows $real in $at; returns why not, or ''.
sub mount_disk {
    my ($real) = @_;
    return 'only root can let the server\'s user in' if $>;
    my $bindfs = which_one('bindfs') or return 'bindfs is not installed';
    return '/dev/fuse is not there' if !-e '/dev/fuse';
    $daemon = fork // die "fork: $!";
    if ($daemon == 0) {
        open STDERR, '>', "$real.log";
        open STDOUT, '>&', \*STDERR;
        exec $bindfs, '-f', $real, $at or POSIX::_exit(127);
    }
    my $there = sub { slurp('/proc/mounts') =~ /^\S+ \Q$at\E fuse/m };
    wait_until(10, sub { $there->() || waitpid($daemon, WNOHANG) == $daemon });
    return $there->() ? '' : 'FUSE is not allowed here: ' . slurp("$real.log");
}

my $real = work_dir() . '/real';
$at = work_dir() . '/at';
mkdir $_ for $real, $at;
my $why_not = mount_disk($real);
plan skip_all => "no disk can hang here: $why_not" if $why_not;

my $h = httpd(module => 1, influx => 'http://127.0.0.1:9', start => 0);
my $user = (getpwnam $h->_place->{user})[2];
for my $name (qw(token ca.pem)) {
    spew("$real/$name", "secret\n", 0400);
    chown $user, -1, "$real/$name" or die "chown: $!";
}
mkdir "$real/spool", 0700;
chown $user, -1, "$real/spool";
my $conf = "InfluxMetricsServer https://127.0.0.1:9\n"
    . "InfluxMetricsTokenFile $at/token\nInfluxMetricsTLSCAFile $at/ca.pem\n"
    . "InfluxMetricsSpool $at/spool\n";

sub said { return scalar grep { /:warn\].*IMX0016: .*within a second/ } $h->error_log }

for my $mpm (qw(event worker prefork)) {
    $h = httpd(module => 1, influx => 'http://127.0.0.1:9', mpm => $mpm,
        start => 0, conf => $conf);
    my ($ok, $text) = $h->configtest;
    ok($ok, "$mpm: the files are right") or diag $text;
    unlike($text, qr/IMX0016/, "$mpm: and are looked at");

    kill STOP => $daemon;
    my $begin = time;
    ($ok, $text) = $h->configtest;
    cmp_ok(time - $begin, '<', 4 * slow(), "$mpm: httpd -t ends");
    ok($ok, "$mpm: and is content") or diag $text;
    like($text, qr/IMX0016: InfluxMetricsTokenFile and the other files/,
        "$mpm: but says what it could not see");
    $begin = time;
    $h->start;
    cmp_ok(time - $begin, '<', 6 * slow(), "$mpm: starts");
    is(get($h->url)->{status}, 200, "$mpm: serves");
    is(scalar(grep { /IMX0037: .*did not answer within a second/ }
        $h->error_log), 1, "$mpm: the log tells of the spool");

    my $before = said();
    my $load = client(port => $h->port, c => 2, rate => 50, seconds => 5,
        close => 1);
    $begin = time;
    $h->graceful;
    cmp_ok(time - $begin, '<', 6 * slow(), "$mpm: a graceful restart ends");
    my $r = $load->wait;
    is($r->{complete}, $r->{sent}, "$mpm: and every request is answered");
    cmp_ok(said(), '>', $before, "$mpm: the log says why");

    $begin = time;
    ok($h->stop, "$mpm: stops");
    my $seconds = time - $begin;
    cmp_ok($seconds, '<', 8 * slow(), sprintf '%s: after %.2f s', $mpm,
        $seconds);
    kill CONT => $daemon;
}

finish();

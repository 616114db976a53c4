# A spool on a disk that hangs: a FUSE directory whose daemon is stopped, as a
# network disk whose server is gone.  In work, in an outage, at a graceful
# restart, at a start, and at a stop: requests are served, live points go on,
# and the server ends in time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(time);

my @mpms = split ' ', $ENV{MPMS} || 'event worker prefork';
my (%daemon, $db);

END {
    local ($?, $!);
    for my $at (keys %daemon) {
        kill $_ => $daemon{$at} for qw(CONT KILL);
        waitpid $daemon{$at}, 0;
        system "umount -l '$at' 2>/dev/null";
    }
}

# The directory $at shows what is in $real; returns why not, or ''.
sub mount_disk {
    my ($real, $at) = @_;
    my $bindfs = which_one('bindfs') or return 'bindfs is not installed';
    return '/dev/fuse is not there' if !-e '/dev/fuse';
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDERR, '>', "$real.log";
        open STDOUT, '>&', \*STDERR;
        exec $bindfs, '-f', $real, $at or POSIX::_exit(127);
    }
    my $there = wait_until(10, sub {
        slurp('/proc/mounts') =~ /^\S+ \Q$at\E fuse/m
            || waitpid($pid, WNOHANG) == $pid;
    });
    if (!$there || slurp('/proc/mounts') !~ /^\S+ \Q$at\E fuse/m) {
        kill KILL => $pid;
        return 'FUSE is not allowed here: ' . slurp("$real.log");
    }
    $daemon{$at} = $pid;
    return '';
}

my $probe = work_dir();
mkdir "$probe/$_" for qw(real at);
my $why_not = $> ? 'only root may let the server\'s user into a FUSE directory'
    : mount_disk("$probe/real", "$probe/at");
plan skip_all => "no disk can hang here: $why_not" if $why_not;

$db = influxd();

sub server {
    my ($mpm, $name, %o) = @_;
    my $database = "$name$mpm";
    $db->start if !$db->alive;
    $db->query("CREATE DATABASE $database");
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        children => $mpm eq 'prefork' ? 8 : 2, start => 0, conf => sub {
            my $dir = $_[0]->dir . '/spool';
            return <<"CONF";
InfluxMetricsDatabase $database
InfluxMetricsBufferSize 1M
InfluxMetricsMaxBody 64K
InfluxMetricsMeasurement @{['x' x 300]}
InfluxMetricsSpool $dir
InfluxMetricsShutdownTimeout 1s
CONF
        });
    $h->{database} = $database;
    $h->{real} = $h->dir . '/disk';
    $h->{at} = $h->dir . '/spool';
    mkdir $h->{$_}, 0700 for qw(real at);
    chown((getpwnam $h->_place->{user})[2, 3], $h->{real}) or die $!;
    my $failed = mount_disk($h->{real}, $h->{at});
    die $failed if $failed;
    $h->start if !$o{hangs};
    return $h;
}

# Is a call to the disk under way?  A process whose call the daemon has taken,
# and does not answer, is one that nobody can kill, unlike those that wait for a
# network disk: httpd itself waits 10 s for it.  So it is not stopped then.
sub is_asked {
    my ($h) = @_;
    return grep { slurp($_) =~ /fuse|request_wait_answer/ }
        map { glob "/proc/$_/task/*/wchan" } $h->children;
}

sub hang {
    my ($h) = @_;
    my $pid = $daemon{ $h->{at} };
    wait_until(30, sub {
        kill STOP => $pid;
        wait_until(5, sub { slurp("/proc/$pid/stat") =~ /\) T/ });
        return 1 if !is_asked($h);
        kill CONT => $pid;
        return 0;
    }) or die 'the disk is never idle';
}

sub answer_again { kill CONT => $daemon{$_[0]{at}} }
sub files { my @f = glob("$_[0]{real}/*.lp"); return scalar @f }
sub figure { return (status($_[0]) // {})->{$_[1]} // -1 }
sub sent_are { my ($h, $n) = @_; return figure($h, 'points_sent') == $n }

# The time below which 99 of 100 were answered, in ms, since the log had so many
# lines.
sub p99 {
    my ($h, $since) = @_;
    my @log = $h->access_log;
    my @us = sort { $a <=> $b } map { $_->{us} } @log[$since .. $#log];
    return @us ? $us[$#us * 0.99] / 1000 : 0;
}

# All of them are answered, and none takes long.
sub served {
    my ($h, $what, %o) = @_;
    my $since = $h->access_count;
    my $r = client(port => $h->port, c => 4, timeout => 5, seconds => 3,
        rate => 100, %o)->wait;
    is($r->{complete}, $r->{sent}, "$what: each request is answered ("
        . "$r->{complete})");
    my $ms = p99($h, $since);
    cmp_ok($ms, '<', 20 * slow(), sprintf '%s: p99 is %.2f ms', $what, $ms);
    return $r->{complete};
}

sub seconds_to_end {
    my ($h) = @_;
    my $begin = time;
    kill TERM => $h->pid;
    wait_until(30, sub { !$h->alive });
    return time - $begin;
}

sub ends {
    my ($h, $what) = @_;
    my $seconds = seconds_to_end($h);
    cmp_ok($seconds, '<', 8 * slow(),
        sprintf '%s: the server ends after %.2f s', $what, $seconds);
    answer_again($h);
    $h->stop;
    return;
}

for my $mpm (@mpms) {
    subtest "$mpm: in work" => sub {
        my $h = server($mpm, 'work');
        my $n = served($h, 'before');
        ok(wait_until(20, sub { sent_are($h, $n) }), 'points arrive');
        hang($h);
        my $began = time;
        # Longer than the time between two looks for files.
        while (time - $began < 12) {
            $n += served($h, 'the disk hangs', seconds => 2);
        }
        ok(wait_until(10, sub { sent_are($h, $n) }), 'all points arrive')
            or diag explain status($h);
        is(figure($h, 'points_dropped'), 0, 'none is lost');
        accounts_ok($h, 'in work');
        answer_again($h);
        $h->stop;
    };

    subtest "$mpm: in an outage, and back" => sub {
        my $h = server($mpm, 'outage');
        my $n = served($h, 'before');
        ok(wait_until(20, sub { sent_are($h, $n) }), 'points arrive');
        $db->stop;
        my $limit = time + 60;
        while (files($h) < 2 && time < $limit) {
            $n += served($h, 'InfluxDB is down', rate => 400);
        }
        cmp_ok(files($h), '>', 1, 'files are written');
        hang($h);
        $n += served($h, 'the disk hangs', rate => 400) for 1 .. 2;
        accounts_ok($h, 'the disk hangs');
        my $spooled = figure($h, 'points_spooled');
        $db->start;
        my $before = figure($h, 'points_sent');
        ok(wait_until(40, sub { figure($h, 'points_sent') > $before }),
            'InfluxDB is back: live points go on');
        $n += served($h, 'InfluxDB is back');
        ok(wait_until(20, sub { grep { /IMX0081/ } $h->error_log }),
            'the log tells of the disk');
        answer_again($h);
        ok(wait_until(60, sub {
            my $s = status($h) // {};
            ($s->{points_sent} // 0) + ($s->{points_dropped} // 0) == $n;
        }), 'and the files follow when it answers') or diag explain status($h);
        accounts_ok($h, 'in an outage');
        is(files($h), 0, 'no file is left');
        $h->stop;
    };

    subtest "$mpm: graceful restart" => sub {
        my $h = server($mpm, 'graceful');
        my $n = served($h, 'before');
        hang($h);
        my $load = client(port => $h->port, c => 4, timeout => 5, seconds => 8,
            rate => 50, close => 1);
        my $began = time;
        my $ok = eval { $h->graceful; 1 };
        my $took = time - $began;
        ok($ok && $took < 6 * slow(), sprintf 'it takes %.2f s', $took)
            or diag $@;
        my $r = $load->wait;
        is($r->{complete}, $r->{sent}, 'each request is answered');
        $n += $r->{complete} + served($h, 'after it');
        ok(wait_until(20, sub { sent_are($h, $n) }), 'all points arrive')
            or diag explain status($h);
        answer_again($h);
        accounts_ok($h, 'graceful restart');
        $h->stop;
    };

    subtest "$mpm: start" => sub {
        my $h = server($mpm, 'start', hangs => 1);
        hang($h);
        my $began = time;
        my $ok = eval { $h->start; 1 };
        my $took = time - $began;
        ok($ok && $took < 6 * slow(), sprintf 'it starts after %.2f s', $took)
            or diag $@;
        SKIP: {
            if (!$ok) {
                answer_again($h);
                skip 'it did not start', 1;
            }
            my $n = served($h, 'it hangs from the start');
            ok(wait_until(20, sub { sent_are($h, $n) }), 'points arrive');
            answer_again($h);
            $db->stop;
            my $limit = time + 60;
            while (files($h) < 1 && time < $limit) {
                $n += served($h, 'it answers', rate => 400);
            }
            cmp_ok(files($h), '>', 0, 'and then the spool is used');
            $db->start;
            ok(wait_until(60, sub { sent_are($h, $n) }), 'all points arrive')
                or diag explain status($h);
            accounts_ok($h, 'start');
        }
        $h->stop;
    };

    subtest "$mpm: stop" => sub {
        my $h = server($mpm, 'stop');
        my $n = served($h, 'before');
        ok(wait_until(20, sub { sent_are($h, $n) }), 'points arrive');
        $db->stop;
        $n += served($h, 'InfluxDB is down', seconds => 1);
        hang($h);
        $n += served($h, 'the disk hangs', seconds => 6);
        ends($h, 'with points that nobody takes');
    };
}

finish();

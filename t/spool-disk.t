# A spool that cannot be written: a full disk (telegraf's disk buffer: undefined),
# no rights, a directory that is gone, or another one, or is not there yet; and
# one that is full by its own limit (telegraf#16615).  Requests are served, the
# log says it once, the buffer goes on, what is lost is counted, and when the
# spool is right again it is used again.
use strict;
use warnings;
use File::Path qw(remove_tree);
use Test::More;
use lib 't/lib';
use ImxTest;

my $LONG = 'x' x 300;
my $db = influxd();
my $uid = $> ? $> : getpwnam 'www-data';
my @mounts;

END {
    local $?;
    system 'umount', '-l', $_ for @mounts;
}

sub server {
    my ($name, %o) = @_;
    my $max = delete $o{max} // '';
    my $place = delete $o{place};
    $db->start if !$db->alive;
    $db->query("CREATE DATABASE $name");
    $db->stop;
    return httpd(module => 1, influx => $db, %o, conf => sub {
        my $dir = $place // $_[0]->dir . '/spool';
        return <<"CONF";
InfluxMetricsDatabase $name
InfluxMetricsBufferSize 1M
InfluxMetricsMaxBody 64K
InfluxMetricsMeasurement $LONG
InfluxMetricsSpool $dir $max
<Location /status>
SetHandler influx-metrics
InfluxMetrics Off
</Location>
CONF
    });
}

sub figure { my ($h, $name) = @_; return (status($h) // {})->{$name} // -1 }
sub said { my ($h, $id) = @_; return scalar grep { /$id/ } $h->error_log }

sub requests {
    my ($h, $n) = @_;
    my $r = client(port => $h->port, n => $n, c => 4)->wait;
    return $r->{complete};
}

# Requests until a figure is more than zero; how many there were.
sub requests_until {
    my ($h, $name) = @_;
    my $n = 0;
    for (1 .. 12) {
        $n += requests($h, 1500);
        last if figure($h, $name) > 0;
    }
    return $n;
}

# InfluxDB is back: it gets all that was not lost.
sub delivered {
    my ($h, $name, $recorded) = @_;
    ok(wait_until(20, sub { figure($h, 'points_recorded') == $recorded }),
        "$name: $recorded were recorded") or diag explain status($h);
    $db->start;
    my $n = $recorded - figure($h, 'points_dropped');
    ok(wait_until(40, sub {
        $n = $recorded - figure($h, 'points_dropped');
        $db->count($LONG, $name) == $n && figure($h, 'points_sent') == $n;
    }), "$name: all that are not counted as lost are delivered ($n)")
        or diag $db->count($LONG, $name), explain status($h);
    accounts_ok($h, $name);
    my @left = glob $h->dir . '/spool/*';
    is(scalar @left, 0, "$name: and no file is left");
}

subtest 'a full disk' => sub {
    plan skip_all => 'only root can mount a small disk' if $>;
    my $h = server('fulldisk', start => 0);
    my $dir = $h->dir . '/spool';
    mkdir $dir or die $!;
    system("mount -t tmpfs -o size=1m,mode=0700,uid=$uid none $dir 2>/dev/null")
        == 0 or plan skip_all => 'no small disk can be mounted here';
    push @mounts, $dir;
    $h->start;
    my $n = requests($h, 3000);
    ok(wait_until(20, sub { figure($h, 'points_spooled') > 500 }),
        'files are written') or diag explain status($h);
    $n += requests_until($h, 'dropped_oldest');
    cmp_ok(figure($h, 'dropped_oldest'), '>', 0,
        'then the oldest points of the buffer are given up');
    accounts_ok($h, 'a full disk');
    is(said($h, 'IMX0050.*No space left'), 1, 'the log says so, once');
    is(said($h, 'IMX0027'), 1, 'and that points are lost');
    my @tmp = grep { /\.tmp$/ } glob "$dir/*";
    is(scalar @tmp, 0, 'no half file is left');
    my $full = figure($h, 'points_spooled');
    system("mount -o remount,size=8m $dir") == 0 or die 'remount';
    $n += requests($h, 1500);
    ok(wait_until(20, sub { figure($h, 'points_spooled') > $full }),
        'there is room again, and it is used');
    delivered($h, 'fulldisk', $n);
    $h->stop;
};

subtest 'its own limit' => sub {
    my $h = server('quota', max => '1M');
    my $n = 0;
    $n += requests_until($h, 'dropped_spool');
    cmp_ok(figure($h, 'dropped_spool'), '>', 0, 'the oldest file is removed');
    is(figure($h, 'dropped_oldest'), 0, 'and the buffer has room');
    cmp_ok(figure($h, 'spool_bytes'), '<=', 1 << 20, 'it keeps the limit');
    accounts_ok($h, 'a limit');
    delivered($h, 'quota', $n);
    $h->stop;
};

subtest 'a directory with a life of its own' => sub {
    my $h = server('dir');
    my $dir = $h->dir . '/spool';
    my $n = requests($h, 2000);
    my $spools = sub {
        my ($what) = @_;
        my $is;
        for (1 .. 10) {
            my $now = figure($h, 'points_spooled');
            $n += requests($h, 800);
            $is = wait_until(3, sub { figure($h, 'points_spooled') > $now });
            last if $is;
        }
        ok($is, $what) or diag explain status($h);
        accounts_ok($h, $what);
    };
    $spools->('it is used');

    chmod 0500, $dir;                   # the children are not root
    $n += requests($h, 3000);
    ok(wait_until(20, sub { said($h, 'IMX0050.*denied') }),
        'no right to write: the log says so') or diag $h->error_log;
    accounts_ok($h, 'no rights');
    chmod 0700, $dir;
    $spools->('rights again: used again');

    my $there = figure($h, 'points_spooled');
    rename $dir, "$dir.away" or die $!;
    $n += requests($h, 3000);
    ok(wait_until(20, sub { figure($h, 'points_spooled') == 0 }),
        'moved away: its points count as lost') or diag explain status($h);
    cmp_ok(figure($h, 'dropped_spool'), '>=', $there, 'all of them');
    accounts_ok($h, 'moved away');
    symlink "$dir.away", $dir or die $!;
    $n += requests($h, 800);
    is(figure($h, 'points_spooled'), 0, 'a symbolic link is not followed');
    unlink $dir;
    mkdir $dir;
    chown $uid, -1, $dir;
    chmod 0777, $dir;
    $n += requests($h, 800);
    is(figure($h, 'points_spooled'), 0, 'one that all may write is not used');
    chmod 0700, $dir;
    $spools->('another one in its place is used');
    remove_tree("$dir.away");
    is(said($h, 'IMX0050'), 1, 'all of that is one line a minute');
    my $s = status($h);
    cmp_ok($s->{points_dropped}, '<', $n, 'not all were lost');
    delivered($h, 'dir', $n);
    is(get($h->url)->{status}, 200, 'and httpd serves');
    $h->stop;
};

subtest 'not there at the start, nor at a graceful restart' => sub {
    my $place = work_dir() . '/later/spool';
    my $h = server('later', place => $place);
    is(get($h->url)->{status}, 200, 'httpd serves all the same');
    is(said($h, 'IMX0037.*No such file'), 1, 'and says what is wrong');
    $h->graceful(gone => 1);
    is(get($h->url)->{status}, 200, 'also after a graceful restart');
    is(said($h, 'IMX0037'), 2, 'which says it again');
    mkdir work_dir() . '/later';
    $h->graceful(gone => 1);
    is(said($h, 'IMX0037'), 2, 'its parent is there: it is made');
    my @stat = stat $place;
    is($stat[4], $uid, 'for the server\'s user');
    is($stat[2] & 07777, 0700, 'alone');
    my $n = 2;
    $n += requests_until($h, 'points_spooled');
    cmp_ok(figure($h, 'points_spooled'), '>', 0, 'and used');
    chmod 0770, $place;
    $h->graceful(gone => 1);
    is(said($h, 'IMX0037.*others may write'), 1, 'a wrong mode is told of');
    chmod 0700, $place;
    delivered($h, 'later', $n);
    $h->stop;
};

subtest 'ChrootDir' => sub {
    plan skip_all => 'only root can change the root' if $>;
    my $root = work_dir() . '/jail';
    mkdir $root;
    mkdir "$root/var";
    my $h = server('jail', place => '/var/spool', start => 0);
    mkdir "$root/tmp";
    my $docs = $root . $h->docroot;
    system('mkdir', '-p', $docs);
    spew("$docs/index.html", 'jail');
    # Threads need it to end, and do not find it in there.
    chomp(my $libgcc = qx(cc -print-file-name=libgcc_s.so.1));
    $h->reconf(conf => $h->{conf}->($h) . "ChrootDir $root\n"
        . "LoadFile $libgcc\n");
    $h->start;
    my $n = 0;
    $n += requests_until($h, 'points_spooled');
    my @files = glob "$root/var/spool/*.lp";
    cmp_ok(scalar @files, '>', 0, 'the spool is inside of it');
    ok(!said($h, 'IMX0037'), 'made by the parent');
    is((stat "$root/var/spool")[4], $uid, 'for the server\'s user');
    accounts_ok($h, 'ChrootDir');
    delivered($h, 'jail', $n);
    $h->stop;
};

finish();

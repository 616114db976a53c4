# The files of the spool as an operator meets them: sent by hand with curl, and
# what he, a crash or a full disk may have left there.  Whole lines are
# delivered, the rest is put aside with one line in the log, and httpd starts as
# ever (telegraf#18528), however much of it there is.
use strict;
use warnings;
use Test::More;
use List::Util qw(sum);
use Time::HiRes qw(time);
use lib 't/lib';
use ImxTest;

my $LONG = 'x' x 300;
my $db = influxd();
my $uid = $> ? $> : getpwnam 'www-data';

sub server {
    my ($name, %o) = @_;
    $db->query("CREATE DATABASE $name") if $db->alive;
    return httpd(module => 1, influx => $db, start => 0, %o, conf => sub {
        my $dir = $_[0]->dir . '/spool';
        return <<"CONF";
InfluxMetricsDatabase $name
InfluxMetricsBufferSize 1M
InfluxMetricsMaxBody 256K
InfluxMetricsMeasurement $LONG
InfluxMetricsSpool $dir
InfluxMetricsCreateDatabase Off
<Location /status>
SetHandler influx-metrics
InfluxMetrics Off
</Location>
CONF
    });
}

sub files { my @files = glob $_[0]->dir . '/spool/*'; return @files }

# A file of the spool, of the server's user; its name is as of long ago.
my $number = 0;

sub put {
    my ($h, $text, %o) = @_;
    my $name = sprintf '%s/spool/%019d-00000000-%06d%s', $h->dir, ++$number,
        $o{lines} // ($text =~ tr/\n//), $o{ending} // '.lp';
    spew($name, $text, 0600);
    truncate $name, $o{size} or die $! if $o{size};
    chown $uid, -1, $name or die $!;
    return $name;
}

# Lines that each have a time of their own.
my $time = 1_500_000_000_000_000_000;

sub lines {
    my ($n, $measurement) = @_;
    return join '', map { "$measurement,k=v bytes_sent=1i " . $time++ . "\n" } 1 .. $n;
}

subtest 'sent by hand with curl' => sub {
    my $h = server('byhand');
    $h->start;
    $db->stop;
    # Not so fast that the buffer is full while the disk is slow once.
    my $n = client(port => $h->port, n => 4000, c => 4, rate => 1000)
        ->wait->{complete};
    ok(wait_until(20, sub { (status($h) // {})->{points_spooled} > 800 }),
        'InfluxDB is down, points go to files') or diag explain status($h);
    my @stat = stat $h->dir . '/spool';
    is($stat[2] & 07777, 0700, 'the directory is for the server\'s user alone');
    is($stat[4], $uid, 'and belongs to him');
    is(status($h)->{points_dropped}, 0, 'none is lost');
    $h->stop;
    my @files = sort glob $h->dir . '/spool/*';
    cmp_ok(scalar @files, '>', 2, 'stopped: all are in files');
    is(scalar(grep { !m{/\d{19}-\d{8}-\d{6}\.lp$} } @files), 0,
        'with the names that the manual tells of');
    is(scalar(grep { ((stat)[2] & 07777) != 0600 } @files), 0, 'for him alone');
    is(scalar(grep { slurp($_) =~ tr/\n// != (/-(\d{6})\.lp$/)[0] } @files), 0,
        'with as many lines as their names say');
    $db->start;
    my @bad = grep {
        my $answer = qx(curl -s -o /dev/null -w '%{http_code}' --data-binary \@$_ \\
            '@{[$db->url]}/write?db=byhand&precision=n');
        $answer ne '204';
    } @files;
    is(scalar @bad, 0, scalar(@files) . ' files sent with curl, none refused');
    count_is($db, $n, 'InfluxDB has all points', database => 'byhand',
        measurement => $LONG);
    $h->start;
    ok(wait_until(20, sub { !files($h) }),
        'those that nobody removed are sent again at the next start');
    count_is($db, $n, 'and InfluxDB has what it had', database => 'byhand',
        measurement => $LONG);
    accounts_ok($h, 'sent by hand');
    $h->stop;
};

subtest 'whatever is in the directory' => sub {
    my $h = server('foreign');
    $h->start;
    $h->stop;
    my %whole;
    my $is = sub { my ($n, $name) = @_; $whole{$name} = $n; lines($n, $name) };
    put($h, $is->(10, 'whole'));
    put($h, $is->(10, 'cut') . 'cut,k=v bytes_sent=1i 15', lines => 11);
    put($h, $is->(3, 'hole') . "\0" x 5000, lines => 50);
    put($h, '', lines => 7);
    put($h, "\x7fELF\2\1\1" . "\0" x 300, lines => 9);
    put($h, $is->(2, 'byhand') . "# a note\n\n" . lines(2, 'byhand'), lines => 2);
    $whole{byhand} = 4;
    put($h, $is->(5, 'left') . 'left,k=', ending => '.tmp', lines => 9);
    put($h, '', ending => '.tmp', lines => 9);
    put($h, $is->(30_000, 'large'), lines => 1);
    put($h, $is->(4, 'endless'), lines => 4, size => 1 << 30);
    put($h, 'a', lines => 4, size => 1 << 30);
    my $last = put($h, $is->(6, 'last'));
    symlink '/etc/passwd', $h->dir
        . '/spool/0000000000000000900-00000000-000001.lp';
    mkdir $h->dir . '/spool/0000000000000000901-00000000-000001.lp';
    spew($h->dir . '/spool/README', "m n=1i 1\n");

    my $began = time;
    $h->start;
    is(get($h->url)->{status}, 200, 'httpd starts and answers');
    cmp_ok(time - $began, '<', 20 * ImxTest::slow(), 'at once');
    count_is($db, 1, 'a live point is there', database => 'foreign',
        measurement => $LONG);
    for my $name (sort keys %whole) {
        count_is($db, $whole{$name}, "$name: all its whole lines",
            database => 'foreign', measurement => $name);
    }
    is(scalar($db->query('SHOW MEASUREMENTS', 'foreign')), 1 + keys %whole,
        'and nothing else');
    ok(wait_until(10, sub { !-e $last }), 'each was removed');
    my @left = map { s{.*/}{}r } sort glob $h->dir . '/spool/*';
    is(scalar(grep { /\.bad$/ } @left), 7, 'what is no line was put aside')
        or diag join "\n", @left;
    is_deeply([grep { !/\.bad$/ } @left], ['0000000000000000900-00000000-000001'
        . '.lp', '0000000000000000901-00000000-000001.lp', 'README'],
        'what is not ours was left alone');
    my ($peak) = sort { $b <=> $a } map {
        slurp("/proc/$_/status") =~ /^VmHWM:\s+(\d+)/m ? $1 : 0
    } $h->children;
    cmp_ok($peak, '<', 120_000 * ImxTest::slow(), "no child ever had more than "
        . int($peak / 1024) . ' MB');
    accounts_ok($h, 'foreign files');
    $h->stop;
    my %said;
    $said{$_}++ for map { /IMX(00[45]\d)/ } $h->error_log;
    my $of_files = sum(map { delete $said{$_} // 0 } '0040' .. '0042');
    my $more = sum(0, map { /IMX0049.* (\d+) more files/ } $h->error_log);
    cmp_ok($of_files, '>=', 5, 'a line in the log for each of five files');
    is($of_files + $more, 8, 'and of the others how many they were')
        or diag grep { /IMX004/ } $h->error_log;
    delete $said{'0049'};
    is_deeply(\%said, { '0044' => 1 }, 'and no other line');
};

subtest '100,000 files' => sub {
    my $h = server('many');
    $h->start;
    $h->stop;
    $db->stop;
    my $dir = $h->dir . '/spool';
    for my $i (1 .. 100_000) {
        my $name = sprintf '%s/%019d-00000000-000001.lp', $dir, 1000 + $i;
        open my $f, '>', $name or die $!;
        print {$f} lines(1, 'm');
        close $f;
        chown $uid, -1, $name;
    }
    my $began = time;
    $h->start;
    is(get($h->url)->{status}, 200, 'httpd starts');
    cmp_ok(time - $began, '<', 20 * ImxTest::slow(), 'at once');
    ok(wait_until(20, sub { (status($h) // {})->{points_spooled} == 100_000 }),
        'they are counted');
    # Not faster than the disk takes it.
    my $n = client(port => $h->port, n => 4000, c => 4, rate => 250)
        ->wait->{complete};
    ok(wait_until(20, sub { status($h)->{points_spooled} > 100_500 }),
        'others come to them') or diag explain status($h);
    is(status($h)->{points_dropped}, 0, 'nothing is lost');
    accounts_ok($h, 'many files');
    my ($peak) = sort { $b <=> $a } map {
        slurp("/proc/$_/status") =~ /^VmHWM:\s+(\d+)/m ? $1 : 0
    } $h->children;
    cmp_ok($peak, '<', 120_000 * ImxTest::slow(), 'in little memory');
    $h->stop;
};

finish();

# Two httpds on one directory for the spool: the second one says so and does
# without, delivers nothing of the first one's, also when the child that delivers
# there is killed or replaced, and takes the directory over when it is free.  Each account is right all the time.  And a name of a file
# that claims a million lines is not believed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();
my $dir = work_dir() . '/spool';
my $uid = $> ? $> : getpwnam 'www-data';

sub server {
    my ($mpm, $database) = @_;
    $db->query("CREATE DATABASE $database") if $db->alive;
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        children => $mpm eq 'prefork' ? 4 : 2, conf => <<"CONF");
InfluxMetricsDatabase $database
InfluxMetricsBufferSize 1M
InfluxMetricsMaxBody 64K
InfluxMetricsMeasurement @{['x' x 300]}
InfluxMetricsSpool $dir
CONF
    $h->{database} = $database;
    return $h;
}

# A file as of long ago, with so many lines by its name.
sub forge {
    my ($number, $named, $text) = @_;
    my $name = sprintf '%s/%019d-00000000-%06d.lp', $dir, $number, $named;
    spew($name, $text, 0600);
    chown $uid, -1, $name or die "$name: $!";
    return $name;
}

sub spooled { return (status($_[0]) // {})->{points_spooled} // -1 }
sub sent { return (status($_[0]) // {})->{points_sent} // -1 }

# Which child works there.
sub holder { return (status($_[0]) // {})->{lease_holder} || 0 }

sub serve_until {
    my ($h, $is_there) = @_;
    my $n = 0;
    for (1 .. 40) {
        last if $is_there->();
        $n += client(port => $h->port, n => 500, c => 4,
            rate => 400)->wait->{complete}; # no more than a slow disk takes
    }
    return $n;
}

for my $mpm (split ' ', $ENV{MPMS} || 'event prefork') {
    subtest "$mpm: two servers" => sub {
        my $first = server($mpm, "first$mpm");
        $db->query("CREATE DATABASE second$mpm");
        $db->stop;
        my $n = serve_until($first, sub { spooled($first) > 500 });
        cmp_ok(spooled($first), '>', 500, 'the first one has files')
            or diag explain status($first);
        my $second = server($mpm, "second$mpm");
        my $m = client(port => $second->port, n => 50, c => 2)->wait
            ->{complete};
        ok(wait_until(20, sub { grep { /:error\].*IMX0056: .*\Q$dir\E/ }
            $second->error_log }), 'the second one says that it is in use')
            or diag join "\n", $second->error_log;
        is(spooled($second), 0, 'and counts nothing of it');
        accounts_ok($_, 'two servers') for $first, $second;
        my $there = () = glob "$dir/*.lp";
        for my $time (1 .. 4) {
            my $old = holder($first);
            ok($first->kill_child($old), 'the child that has it is killed');
            ok(wait_until(30, sub {
                my $new = holder($first);
                return $new && $new != $old && spooled($first) > 500;
            }), "time $time: another one of the first server has it");
        }
        $first->graceful(gone => 1);
        ok(wait_until(30, sub { holder($first) && spooled($first) > 500 }),
            'so it is after a graceful restart');
        is_deeply([grep { /IMX0057/ } $second->error_log], [],
            'the second one does not get in between');
        is(spooled($second), 0, 'and counts nothing of it');
        cmp_ok(scalar(() = glob "$dir/*.lp"), '>=', $there, 'nor takes any');
        $db->start;
        ok(wait_until(60, sub { sent($first) == $n }), 'all of the first one')
            or diag explain status($first);
        ok(wait_until(60, sub { sent($second) == $m }), 'and of the second')
            or diag explain status($second);
        count_is($db, $n, 'where it belongs', measurement => 'x' x 300,
            database => "first$mpm");
        accounts_ok($_, 'delivered') for $first, $second;
        $first->stop;
        ok(wait_until(30, sub { grep { /IMX0057:/ } $second->error_log }),
            'the second one takes the directory when it is free');
        is(scalar(grep { /IMX0056/ } $second->error_log), 1,
            'in use was said once');
        $second->stop;
        is_deeply([grep { /IMX0056/ } $first->error_log], [],
            'the first one was never disturbed');
    };

    subtest "$mpm: names that claim too much" => sub {
        mkdir $dir;
        my $empty = forge(1, 999_999, '');
        my $none = forge(2, 999_999, "no line\n" =~ s/^/#/r);
        my $two = forge(3, 999_999, join '', map {
            "forged,k=v bytes_sent=1i 150000000000000000$_\n" } 1, 2);
        my $h = server($mpm, "forged$mpm");
        ok(wait_until(30, sub { sent($h) == 2 || !-e $two }), 'it is delivered')
            or diag explain status($h);
        ok(wait_until(30, sub { !-e $_ }), 'and gone') for $empty, $none, $two;
        my $s = accounts_ok($h, 'names that claim too much');
        is($s->{points_recorded}, 2, 'two lines were found');
        is($s->{points_dropped}, 0, 'none is lost');
        is($s->{points_sent}, 2, 'two are sent');
        $h->stop;
        unlink glob "$dir/*";
    };
}

finish();

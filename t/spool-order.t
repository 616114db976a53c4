# What of the spool is sent, in which order, and how often: a forwarder keeps
# each body.  Live lines first, then the files, oldest first; what InfluxDB has
# acknowledged is not sent again when the next body fails (telegraf#15868,
# #16500); a child that is killed between InfluxDB's answer and the removal of
# the file is the one exception, and then the same bytes go again, which changes
# nothing.
use strict;
use warnings;
use Test::More;
use lib 't/lib';
use ImxForward;
use ImxTest;

my $db = influxd();
my $down = work_dir() . '/down';        # there: 503
my $kill = work_dir() . '/kill';        # there: so many holders to kill, when
my $oldest = work_dir() . '/oldest';    # they send lines that are not younger
my $refuse = work_dir() . '/refuse';    # there: 503 for every eighth body
my $LONG = 'x' x 300;                   # lines that fill the buffer soon
my $UNAVAILABLE = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
    . "Content-Length: 0\r\n\r\n";
my $page = work_dir() . '/page';        # the URL of the status page
my ($h, $killed) = (undef, 0);

# The holder has sent the body and has no answer yet: with what it left in
# memory and on disk, that is as between the answer and its next system call.
sub kill_holder {
    my ($pid) = get(slurp($page))->{content} =~ /"lease_holder":\s*(\d+)/;
    return 0 if !$pid || $pid == $killed;
    $killed = $pid;
    return kill KILL => $pid;
}

my $f = ImxForward->new($db, answer => sub {
    my ($number, $forward, $body) = @_;
    return $UNAVAILABLE if -e $down || (-e $refuse && $number % 8 == 0);
    my $n = slurp($kill) || 0;
    return undef if $n == 0 || (times_of($body))[0] > slurp($oldest);
    my $status = $forward->();
    spew($kill, $n - 1) if kill_holder();
    return '';
});

sub server {
    my ($name) = @_;
    $db->query("CREATE DATABASE $name");
    my $h = httpd(module => 1, influx => $f->url, conf => sub {
        my $dir = $_[0]->dir . '/spool';
        return <<"CONF";
InfluxMetricsDatabase $name
InfluxMetricsBufferSize 1M
InfluxMetricsMaxBody 64K 100
InfluxMetricsGzip off
InfluxMetricsMeasurement $LONG
InfluxMetricsSpool $dir
<Location /status>
SetHandler influx-metrics
InfluxMetrics Off
</Location>
CONF
    });
    spew($page, $h->url('/status?json'));
    return $h;
}

sub files { my @files = glob $_[0]->dir . '/spool/*'; return @files }

sub times_of { map { / (\d+)$/ } split /\n/, $_[0] }

# Time => number of its file, oldest first.
sub spooled {
    my %file;
    my $n = 0;
    for my $name (sort glob $_[0]->dir . '/spool/*.lp') {
        $n++;
        $file{$_} = $n for times_of(slurp($name));
    }
    return \%file;
}

# An outage, until enough is in the spool; how many points there are then.
sub outage {
    my ($h, $n) = @_;
    spew($down, '');
    # A file has a hundred lines: not faster than the disk makes them.
    my $r = client(port => $h->port, n => $n, c => 4, rate => 300)->wait;
    ok(wait_until(20, sub { (status($h) // {})->{points_recorded} == $n }),
        "$n points recorded while InfluxDB is down") or diag explain status($h);
    is(status($h)->{points_dropped}, 0, 'and none given up')
        or diag explain status($h);
    ok(wait_until(20, sub { status($h)->{points_spooled} > 800 }),
        'the oldest are in files') or diag explain status($h);
    return $n;
}

subtest 'the order, and nothing twice' => sub {
    $h = server('inorder');
    my $n = outage($h, 5000);
    my $file;
    ok(wait_until(20, sub {
        $file = spooled($h);
        keys %$file == status($h)->{points_spooled};
    }), 'each of them in one file, with a time of its own');
    my $before = scalar $f->bodies;
    spew($refuse, '');
    unlink $down;
    my $live = client(port => $h->port, seconds => 8, rate => 20, c => 2)->wait;
    unlink $refuse;
    $n += $live->{complete};
    ok(wait_until(60, sub { $db->count($LONG, 'inorder') == $n }),
        'InfluxDB has them all') or diag $db->count($LONG, 'inorder'), " of $n";
    ok(wait_until(20, sub { !files($h) }), 'no file is left');
    my @sent = (grep { $_->{number} > $before } $f->bodies);
    my @taken = grep { $_->{status} eq '204' } @sent;
    cmp_ok(@sent - @taken, '>', 1, 'some bodies were refused meanwhile');
    my %times;
    $times{$_}++ for map { times_of($_->{text}) } @taken;
    is(scalar(grep { $_ > 1 } values %times), 0,
        'no line was sent again after it was acknowledged');
    is(scalar keys %times, $n, 'and none is missing');
    my @kinds = map { my $b = $_; [map { $file->{$_} // 0 } times_of($b->{text})] }
        @taken;
    is(scalar(grep { $_ } @{ $kinds[0] }), 0, 'live lines go first');
    my @order = grep { $_ } map { @$_ } @kinds;
    my @sorted = sort { $a <=> $b } @order;
    is_deeply(\@order, \@sorted, 'then the files, oldest first');
    my ($first) = grep { $kinds[$_][0] } 0 .. $#kinds;
    ok((grep { !$kinds[$_][0] } $first .. $#kinds),
        'live lines do not wait for all of the files');
    accounts_ok($h, 'delivered');
    is(status($h)->{points_sent}, $n, 'and all count as sent');
    $h->stop;
};

subtest 'killed between the answer and the removal' => sub {
    $h = server('killed');
    my $n = outage($h, 4000);
    my $file;
    ok(wait_until(20, sub {
        $file = spooled($h);
        keys %$file == status($h)->{points_spooled};
    }), 'and all there');
    my ($youngest) = sort { $b <=> $a } keys %$file;
    my $before = scalar $f->bodies;
    spew($oldest, $youngest);
    spew($kill, 3);
    unlink $down;
    ok(wait_until(60, sub { slurp($kill) eq '0' }), 'three holders were killed');
    ok(wait_until(60, sub { $db->count($LONG, 'killed') == $n }),
        'InfluxDB has all points') or diag $db->count($LONG, 'killed'), " of $n";
    ok(wait_until(20, sub { !files($h) }), 'no file is left');
    my @bodies = grep { $_->{number} > $before } $f->bodies;
    my @lost = grep { $_->{status} eq '' } @bodies;
    cmp_ok(scalar @lost, '>=', 3, 'of so many bodies the answer was lost');
    my $again = grep {
        my $b = $_;
        grep { $_->{number} > $b->{number} && $_->{text} eq $b->{text} } @bodies;
    } @lost;
    is($again, scalar @lost, 'the same bytes were sent again');
    is($db->count($LONG, 'killed'), $n, 'which changed nothing');
    ok(wait_until(20, sub { (status($h) // {})->{points_sent} == $n }),
        'each counts once') or diag explain status($h);
    accounts_ok($h, 'killed');
    is(scalar(grep { /IMX004\d/ } $h->error_log), 0, 'no file was torn');
};

finish();

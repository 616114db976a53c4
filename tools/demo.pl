#!/usr/bin/perl
# demo.pl start|stop: a private InfluxDB and a private httpd with the module,
# about 20 seconds of load, and what InfluxDB then knows of it. The servers go
# on afterwards under a light load, so that the charts of the status page move,
# until `stop` or the next `start`.
#
# start forks a keeper: it starts the servers, shows the table, and then only
# waits, as the servers' parent. build/demo.json tells stop what there is to
# end. The keeper ends its servers and removes their directory when it is
# terminated, or when that file is gone (make clean).
use strict;
use warnings;
use FindBin;
use File::Path qw(remove_tree);
use JSON::PP ();
use POSIX qw(WNOHANG);

use lib "$FindBin::Bin/../t/lib", "$FindBin::Bin/../bench";

my $TOP = "$FindBin::Bin/..";
my $STATE = "$TOP/build/demo.json";
my $CONNECTIONS = 5;
my @LOAD = (                    # seconds of load a virtual host
    ['hello.example.org', 7],
    ['static.example.org', 7],
    ['slow.example.org', 6],
);

my %VERBS = (start => \&start, stop => \&stop);
my $verb = $VERBS{ $ARGV[0] // '' } or die "usage: $0 start|stop\n";
exit $verb->();

# ---------------------------------------------------------------- processes

# When the process began, in clock ticks since boot: with the pid, its name
# for good. Nothing if there is no such process.
sub born {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/stat" or return;
    my $line = <$fh> // return;
    return if $line !~ s/^.*\) //;
    my @fields = split ' ', $line;
    return $fields[0] eq 'Z' ? undef : $fields[19];
}

sub lives {
    my ($p) = @_;
    my $born = born($p->{pid});
    return defined $born && $born eq $p->{born};
}

sub end_process {
    my ($p) = @_;
    for my $signal (qw(TERM KILL)) {
        return if !lives($p);
        kill $signal => $p->{pid};
        for (1 .. 300) {
            return if !lives($p);
            select undef, undef, undef, 0.05;
        }
    }
}

sub stop {
    if (!-e $STATE) {
        print "no demo is running\n" if $ARGV[0] eq 'stop';
        return 0;
    }
    open my $fh, '<', $STATE or die "$STATE: $!\n";
    my $state = JSON::PP::decode_json(do { local $/; <$fh> });
    end_process($_) for @{ $state->{processes} };    # the keeper is the first
    # Usually the keeper did that; another stop may be doing it.
    remove_tree($state->{dir}, { error => \my $ignored })
        if $state->{dir} =~ m{^/tmp/imx-\w+$};
    unlink $STATE;
    die "$state->{dir} could not be removed\n" if -e $state->{dir};
    print "the demo is ended, $state->{dir} is removed\n";
    return 0;
}

sub start {
    stop();
    pipe my $read, my $write or die "pipe: $!";
    my $keeper = fork // die "fork: $!";
    if ($keeper == 0) {
        close $read;
        POSIX::setsid();        # ^C is for the one who waits, see below
        close_inherited();
        keep($write);
    }
    close $write;
    local $SIG{INT} = local $SIG{TERM} = sub {
        kill TERM => $keeper;
        waitpid $keeper, 0;
        unlink $STATE;
        exit 1;
    };
    my $code = <$read>;         # or end of file, when the keeper died
    return $code if defined $code;
    waitpid $keeper, 0;
    unlink $STATE;
    return 1;
}

# ------------------------------------------------------------------- keeper

# Whoever waits for the end of our output (make demo | less) must not wait for
# servers: they get none of the files that we were started with. Perl counts
# its users of a descriptor: this closes only those that are not Perl's.
sub close_inherited {
    for my $fd (map { m{(\d+)$} } glob '/proc/self/fd/*') {
        next if $fd <= 2;
        open my $handle, '<&=', $fd or next;
        close $handle;
    }
}

# Here and not at the top, as it ends only what its loader started. Test::More
# keeps copies of the output files it finds.
sub load_test_library {
    open my $out, '>&', \*STDOUT or die "stdout: $!\n";
    open my $err, '>&', \*STDERR or die "stderr: $!\n";
    open STDOUT, '>', '/dev/null';
    open STDERR, '>', '/dev/null';
    my $loaded = eval { require ImxTest };
    open STDOUT, '>&', $out or die "stdout: $!\n";
    open STDERR, '>&', $err or die "stderr: $!\n";
    die $@ if !$loaded;
}

sub keep {
    my ($report) = @_;
    load_test_library();
    require ImxLoad;
    $| = 1;
    my $module = ImxTest::build() . '/mod_influx_metrics.so';
    die "$module is not there: run make\n" if !-e $module;
    my $tool = ImxLoad::tool();
    my $db = ImxTest::influxd();
    my $httpd = ImxTest::httpd(module => 1, influx => $db, modules => ['wsgi'],
        report => 'requests', conf => \&directories, vhosts => [vhosts()],
        figures => 1);
    write_apps($httpd);
    write_state($httpd, $db);
    my $good = show_table($tool, $db, $httpd);
    show_places($db, $httpd);
    # The servers were started with files of their own: these are the last
    # copies of the terminal.
    open STDIN, '<', '/dev/null';
    open STDOUT, '>>', $httpd->dir . '/keeper.log';
    open STDERR, '>&', \*STDOUT;
    syswrite $report, $good ? 0 : 1;
    close $report;
    # Its processes must hold nothing that somebody waits for the end of.
    my @light = light_load($httpd);
    write_state($httpd, $db, map { $_->pids } @light);
    sleep 1 while -e $STATE;
    exit 0;
}

sub write_state {
    my ($httpd, $db, @more) = @_;
    my @processes = map { { pid => $_, born => born($_) } }
        $$, $httpd->pid, $db->pid, @more;
    my %state = (processes => \@processes, dir => ImxTest::work_dir());
    ImxTest::spew("$STATE.new", JSON::PP->new->pretty->encode(\%state));
    rename "$STATE.new", $STATE or die "$STATE: $!\n";
}

sub directories {
    my ($httpd) = @_;
    my $dir = $httpd->dir;
    return <<"CONF";
WSGIDaemonProcess demo processes=1 threads=8
WSGIProcessGroup demo
WSGIApplicationGroup %{GLOBAL}
CONF
}

sub vhosts {
    my $app = sub {
        my ($name) = @_;
        return sub { "WSGIScriptAlias / " . $_[0]->dir . "/apps/$name.wsgi" };
    };
    # The light load asks for /fail and /report.
    return (
        'hello.example.org' => $app->('hello'),
        'static.example.org' => '',
        'slow.example.org' => $app->('slow'),
    );
}

sub write_apps {
    my ($httpd) = @_;
    $httpd->put('apps/hello.wsgi', <<'PY');
def application(environ, start_response):
    fails = environ['PATH_INFO'] == '/fail'
    body = b'Sorry.' if fails else b'Hello World!'
    start_response('503 Busy' if fails else '200 OK', [('Content-Type', 'text/plain'),
                              ('Content-Length', str(len(body)))])
    return [body]
PY
    $httpd->put('apps/slow.wsgi', <<'PY');
import random
import time


def application(environ, start_response):
    if environ['PATH_INFO'] == '/report':
        time.sleep(random.uniform(1, 8))
    time.sleep(random.uniform(0.020, 0.080))
    body = b'At last.'
    start_response('200 OK', [('Content-Type', 'text/plain'),
                              ('Content-Length', str(len(body)))])
    return [body]
PY
    $httpd->put('htdocs/index.html', "<!doctype html>\n<p>A static page.\n");
}

# Some thirty requests a second, for as long as the demo is there: most are fast,
# some fail, and now and then one takes seconds.
sub light_load {
    my ($httpd) = @_;
    my @kinds = (['static.example.org', '/', 15], ['hello.example.org', '/', 10],
        ['hello.example.org', '/fail', 0.3], ['slow.example.org', '/', 6],
        ['slow.example.org', '/report', 0.1]);
    return map {
        my ($vhost, $path, $rate) = @$_;
        ImxTest::client(port => $httpd->port($vhost), path => $path,
            rate => $rate, seconds => 1e9, c => 1, close => $rate < 1);
    } @kinds;
}

# -------------------------------------------------------------------- table

# True if InfluxDB has exactly a point for every request.
sub show_table {
    my ($tool, $db, $httpd) = @_;
    my %sent;
    for (@LOAD) {
        my ($vhost, $seconds) = @$_;
        print "$tool->{name}: $seconds s, $CONNECTIONS connections, ",
            $httpd->url('/', $vhost), " ($vhost)\n";
        my $run = ImxLoad::run($tool, $httpd->url('/', $vhost),
            connections => $CONNECTIONS, seconds => $seconds);
        die "$vhost: $run->{errors} requests failed\n" if $run->{errors};
        $sent{$vhost} = $run->{requests};
    }
    my $points = wait_for_points($db, \%sent);
    my %row = map { $_->{server} => $_ } $db->query(statistics());
    my %span = spans($db);
    print "\n", line('virtual host', qw(sent stored req/s mean p50 p95 p99)),
        line('', '', '', '', ('ms') x 4);
    for my $vhost (map { $_->[0] } @LOAD) {
        my $r = $row{$vhost} // {};
        print line($vhost, $sent{$vhost}, $points->{$vhost} // 0,
            sprintf('%.0f', ($r->{n} // 0) / ($span{$vhost} || 1)),
            map { sprintf '%.3f', 1000 * ($r->{$_} // 0) }
            qw(mean p50 p95 p99));
    }
    return verdict($tool, \%sent, $points);
}

sub line { return sprintf "%-20s%9s%9s%9s%9s%9s%9s%9s\n", @_ }

sub statistics {
    return 'SELECT count("request_time") AS n, mean("request_time") AS mean, '
        . join(', ', map { qq{percentile("request_time", $_) AS p$_} }
            50, 95, 99)
        . ' FROM "raw-requests" GROUP BY "server"';
}

# Seconds from the first point of a server to its last.
sub spans {
    my ($db) = @_;
    my %span;
    $span{ $_->{server} } -= $_->{time} / 1e9 for $db->query(
        'SELECT first("request_time") FROM "raw-requests" GROUP BY "server"');
    $span{ $_->{server} } += $_->{time} / 1e9 for $db->query(
        'SELECT last("request_time") FROM "raw-requests" GROUP BY "server"');
    return %span;
}

sub wait_for_points {
    my ($db, $sent) = @_;
    my %points;
    ImxTest::wait_until(20, sub {
        %points = map { $_->{server} => $_->{n} } eval { $db->query(
            'SELECT count("request_time") AS n FROM "raw-requests" '
            . 'GROUP BY "server"') };
        return !grep { ($points{$_} // 0) < $sent->{$_} } keys %$sent;
    });
    return \%points;
}

# wrk and ab drop the requests under way when their time is over: the server
# has served them, so that up to a connection's number more points are right.
sub verdict {
    my ($tool, $sent, $points) = @_;
    my $extra = $tool->{exact} ? 0 : $CONNECTIONS;
    my @bad = grep {
        my $n = $points->{$_} // 0;
        $n < $sent->{$_} || $n > $sent->{$_} + $extra;
    } sort keys %$sent;
    print "\n", @bad ? "WRONG: points and requests differ: @bad\n"
        : "every request is a point"
        . ($extra ? " ($tool->{name} does not count its last ones)" : '')
        . "\n";
    return !@bad;
}

sub show_places {
    my ($db, $httpd) = @_;
    my $q = 'SELECT * FROM "raw-requests" ORDER BY time DESC LIMIT 3';
    print "\nlook at\n";
    print '  ', $httpd->url('/', 'figures'),
        "  the status page, which a light load keeps moving\n";
    print '  ', $httpd->url('/', $_->[0]), "  $_->[0]\n" for @LOAD;
    print "  @{[ $db->url ]}  InfluxDB, database httpd:\n",
        "  curl -sG @{[ $db->url('/query') ]} -d db=httpd --data-urlencode \\\n",
        "    'q=$q'\n",
        "configuration and logs: @{[ $httpd->dir ]} (httpd.conf)\n",
        "`make demo-stop` ends it\n";
}

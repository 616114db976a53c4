# What docs/security.md says and no other test shows: proxies in httpd's
# environment, programs of the server's own user, and the memory that an outage
# takes, also in a cgroup that has room for just that.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use Test::More;

subtest 'a proxy in the environment' => sub {
    my ($influx, $proxy) = map { ImxStandin->new } 1, 2;
    my $h = do {
        local %ENV = (%ENV, map { ($_ => $proxy->url) } qw(http_proxy
            HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY));
        httpd(module => 1, influx => $influx, figures => 1,
            conf => 'InfluxMetricsInterval 100ms');
    };
    like(slurp('/proc/' . $h->pid . '/environ'), qr/http_proxy=/, 'is set');
    load(url => $h->url, n => 20, c => 2);
    figures_are($h, { points_sent => 20 }, 'the points go to InfluxDB');
    is(scalar $proxy->requests, 0, 'and not to the proxy');
    $h->stop;
};

# The warning of the manual is true, so it has to be followed.
subtest 'a program of the server\'s own user' => sub {
    my $h = httpd(module => 1, influx => 'http://127.0.0.1:9', start => 0,
        modules => [qw(cgid alias)], children => 1);
    my $dir = $h->dir;
    my $token = $h->secret('token', "token-of-the-site\n");
    $h->put('cgi/look.cgi', <<"CGI", 0755);
#!$^X
print "Content-Type: text/plain\\n\\n";
open my \$f, '<', '$token' or print "token: \$!\\n";
print <\$f>;
opendir my \$d, '$dir/spool' or print "spool: \$!\\n";
print "there is a spool\\n" if grep { \$_ eq '.' } readdir \$d;
open my \$maps, '<', '/proc/self/maps' or die \$!;
print "and shared memory\\n" if grep { / rw-s / } <\$maps>;
CGI
    $h->reconf(conf => "ScriptAlias /cgi/ $dir/cgi/\n"
        . "ScriptSock $dir/run/cgid\nInfluxMetricsTokenFile $token\n"
        . "InfluxMetricsSpool $dir/spool")->start;
    is(get($h->url('/cgi/look.cgi'))->{content},
        "token-of-the-site\nthere is a spool\n",
        'it can read the secret and the spool, but not the shared memory');
    $h->stop;
};

# As the manual advises: a daemon of mod_wsgi that is another user.
my $wsgi = <<'PYTHON';
import os

def tried(call, path):
    try:
        call(path)
        return 'open'
    except OSError as e:
        return e.strerror

def application(environ, start_response):
    root = environ['look.root']
    maps = open('/proc/self/maps').read()
    text = '\n'.join(['user %d' % os.geteuid(),
        'token ' + tried(open, root + '/token'),
        'spool ' + tried(os.listdir, root + '/spool'),
        'shared %d' % (' rw-s ' in maps)])
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [text.encode()]
PYTHON

SKIP: {
    skip 'only root can start httpd for other users', 1 if $>;
    my $h = httpd(module => 1, influx => 'http://127.0.0.1:9', start => 0,
        children => 1, modules => []);
    skip 'mod_wsgi is not installed', 1
        if !-e $h->_place->{modules} . '/mod_wsgi.so';

    subtest 'a daemon of mod_wsgi with user=' => sub {
        my $dir = $h->dir;
        my $token = $h->secret('token', "token-of-the-site\n");
        $h->put('app.wsgi', $wsgi, 0644);
        $h->reconf(modules => [qw(wsgi env)], conf => <<"CONF")->start;
WSGIDaemonProcess other user=nobody home=/ processes=1 threads=2
WSGIScriptAlias /look $dir/app.wsgi
WSGIProcessGroup other
WSGIApplicationGroup %{GLOBAL}
SetEnv look.root $dir
InfluxMetricsTokenFile $token
InfluxMetricsSpool $dir/spool
CONF
        my $r = get($h->url('/look'));
        is($r->{status}, 200, 'it answers')
            or diag join "\n", $h->error_log;
        my %got = $r->{content} =~ /^(\w+) (.*)$/mg;
        is($got{user}, scalar getpwnam('nobody'), 'as another user');
        is($got{$_}, 'Permission denied', "not for it: $_") for qw(token spool);
        is($got{shared}, 1, 'the shared memory it has');
        $h->stop;
    };
}

# ---- memory ----

my $SIZE = 8 << 20;

# One child, so that it has touched all that was ever touched.
sub outage {
    my (%o) = @_;
    return httpd(module => 1, influx => 'http://127.0.0.1:9', children => 1,
        threads => 8, figures => 1, start => 0, conf => sub {
            my $dir = $_[0]->dir . '/spool';
            return "InfluxMetricsBufferSize $SIZE\nInfluxMetricsTags +user\n"
                . 'InfluxMetricsMeasurement ' . 'x' x 400 . "\n"
                . ($o{spool} ? "InfluxMetricsSpool $dir\n" : '') });
}

# Twice what the buffer holds.
sub fill {
    my ($h, $n) = @_;
    return client(port => $h->port, n => $n // 4 * $SIZE / 1000, c => 4)->wait;
}

# The same, but no faster than the spool's disk takes it.
sub fill_slowly {
    my ($h) = @_;
    for my $piece (1 .. 40) {
        fill($h, int($SIZE / 10_000));
        wait_until(30, sub { figures($h)->{buffer_used} < 0.6 * $SIZE });
    }
}

sub shared {
    my ($h) = @_;
    my ($kb) = sort { $b <=> $a } map {
        slurp("/proc/$_/status") =~ /^RssShmem:\s+(\d+)/m ? $1 : 0
    } $h->children;
    return $kb * 1024;
}

subtest 'memory of an outage' => sub {
    my $h = outage()->start;
    my $before = shared($h);
    fill($h);
    cmp_ok(figures($h)->{points_dropped}, '>', 0, 'the buffer was full');
    my $took = shared($h) - $before;
    cmp_ok($took, '>', 0.8 * $SIZE, "it takes what it is to have ($took)");
    cmp_ok($took, '<', 1.2 * $SIZE, 'and no more');
    $h->stop;

    $h = outage(spool => 1)->start;
    $before = shared($h);
    fill_slowly($h);
    cmp_ok(figures($h)->{points_spooled}, '>', 0, 'with a spool');
    is(figures($h)->{points_dropped}, 0, 'nothing is lost');
    $took = shared($h) - $before;
    cmp_ok($took, '<', 0.75 * $SIZE, "less of it is needed ($took)");
    $h->stop;
};

# cgroup v1 or v2: a directory, and the names of the limit and of the account of
# kills in it.
sub cgroup {
    for ((['/sys/fs/cgroup/memory', 'memory.limit_in_bytes',
            'memory.oom_control', 'memory.max_usage_in_bytes'],
        ['/sys/fs/cgroup', 'memory.max', 'memory.events', 'memory.peak'])) {
        my ($top, @names) = @$_;
        my $dir = "$top/imx-test-$$";
        next if $> || !-e "$top/cgroup.procs" || !mkdir $dir;
        return ($dir, @names) if -e "$dir/$names[0]";
        rmdir $dir;
    }
    return;
}

my @cgroup = cgroup();
END { rmdir $cgroup[0] if @cgroup }

SKIP: {
    skip 'a sanitizer has memory of its own', 1 if $ENV{IMX_PRELOAD};
    skip 'no cgroup for memory can be made here', 1 if !@cgroup;
    my ($dir, $limit, $kills, $peak) = @cgroup;

    subtest 'a cgroup with room for the buffer' => sub {
        my $h = outage();
        # What httpd needs without the module, generously.
        spew("$dir/$limit", $SIZE + (24 << 20));
        my $mine = slurp('/proc/self/cgroup') =~ /memory[^:]*:(.*)$/m
            ? $1 : '';
        spew("$dir/cgroup.procs", $$);
        my $started = eval { $h->start; 1 };
        spew("$dir/../$mine/cgroup.procs", $$);
        ok($started, 'it starts') or die $@;
        my $r = fill($h);
        is($r->{complete}, $r->{sent}, 'requests are served in an outage');
        cmp_ok(figures($h)->{points_dropped}, '>', 0, 'the buffer was full');
        is(slurp("$dir/$kills") =~ /^oom_kill (\d+)/m ? $1 : -1, 0,
            'nobody was killed (at most ' . (slurp("$dir/$peak") >> 20)
            . ' MB)');
        $h->stop;
    };
}

finish();

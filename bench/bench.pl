#!/usr/bin/perl
# bench.pl [--rounds N] [--seconds S] [--connections C]: the same static file
# and the same WSGI application, with and without the module, and with the
# steps of the workshop's Python code instead. BENCH_QUICK=1: about a minute.
#
# All servers run at once, and the load goes to one after the other, round by
# round, so that whatever else the machine does falls on all of them. Each
# figure of a round is divided by that of the same round without metrics; the
# table has the medians. InfluxDB and the load tool share the machine with
# httpd: throughput pays for them too, CPU a request does not.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use List::Util qw(sum0);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxBare;
use ImxLoad;
use ImxReport;

my $quick = $ENV{BENCH_QUICK};
my ($rounds, $seconds, $connections) = ($quick ? (2, 3) : (5, 10), 5);
GetOptions('rounds=i' => \$rounds, 'seconds=i' => \$seconds,
    'connections=i' => \$connections)
    or die "usage: $0 [--rounds N] [--seconds S] [--connections C]\n";

my @PYPI = ('influxdb==5.3.2', 'mod_wsgi==6.1.1');
my $STATIC = '12-byte file';
my $HELLO = 'mod_wsgi hello world';

my ($databases, @sinks) = (0);

END { kill TERM => map { $_->{pid} } @sinks }

my $tool = ImxLoad::tool();
my $db = influxd();
my $python = stage_python();
my @groups = (
    [$STATIC, [
        variant('without', static()),
        variant('with the module', static(), influx => $db),
        variant('with the module, lines to a sink', static(),
            influx => start_sink()),
    ]],
    [$HELLO, [
        variant('v1: without', wsgi('v1')),
        variant('with the module', wsgi('v1'), influx => $db),
        variant('with the module, lines to a sink', wsgi('v1'),
            influx => start_sink()),
        variant('v2: Python, a write a request', wsgi('v2'), writes => 1),
        variant('v4: Python, batch of dicts', wsgi('v4'), writes => 1),
        variant('v5: Python, batch of lines', wsgi('v5'), writes => 1),
    ]],
);
my @all = map { @{ $_->[1] } } @groups;
$_->{server} = start_server($_) for @all;
load_once($_, 1) for @all;      # warm: imports, file caches, connections
for my $round (1 .. $rounds) {
    print STDERR "# round $round of $rounds\n";
    # There and back, so that no one is always the first.
    load_once($_, $seconds, 'keep')
        for $round % 2 ? @all : reverse @all;
}
check_points();
report();

# ----------------------------------------------------------------- servers

sub variant {
    my ($name, $site, %o) = @_;
    return { name => $name, %$site, %o, sent => 0, runs => [],
        writes => $o{influx} || $o{writes} };
}

sub static { return { conf => '', path => '/index.html' } }

# As mod_wsgi-express sets it up: one daemon process with five threads.
sub wsgi {
    my ($step) = @_;
    my $conf = sub {
        my ($httpd) = @_;
        return $python->{conf} . <<"CONF";
WSGISocketPrefix @{[ $httpd->dir ]}/run/wsgi
WSGIDaemonProcess bench processes=1 threads=5 python-path=$python->{dir}
WSGIProcessGroup bench
WSGIApplicationGroup %{GLOBAL}
WSGIScriptAlias / $python->{dir}/$step.wsgi
<Directory $python->{dir}>
Require all granted
</Directory>
CONF
    };
    return { conf => $conf, path => '/', modules => $python->{modules},
        database => "step_$step" };
}

sub start_server {
    my ($v) = @_;
    delete $v->{database} if $v->{influx};
    if (ref $v->{influx}) {
        $v->{database} = 'module_' . ++$databases;
        my $site = $v->{conf};
        $v->{conf} = sub {
            my $text = ref $site ? $site->(@_) : $site;
            return "$text\nInfluxMetricsDatabase $v->{database}\n";
        };
    }
    $db->query("CREATE DATABASE $v->{database}") if $v->{database};
    local $ENV{BENCH_INFLUX} = '127.0.0.1:' . $db->port . "/$v->{database}"
        if $v->{database};
    return ImxBare->new(module => $v->{influx} ? 1 : 0,
        influx => $v->{influx}, conf => $v->{conf},
        modules => $v->{modules} // []);
}

# A server that takes lines and forgets them: what the module costs httpd
# when InfluxDB has a machine of its own. One a variant, as it counts the lines.
sub start_sink {
    my $program = build() . '/bench-flusher';
    die "$program is not there: run make bench-flusher\n" if !-x $program;
    my $pid = open my $out, '-|', $program, '--sink-only'
        or die "$program: $!\n";
    push @sinks, { pid => $pid, out => $out };
    my $port = <$out> // die "$program: no port\n";
    chomp $port;
    return "http://127.0.0.1:$port";
}

# A directory that the server's user can read, with the workshop's steps and
# the packages they need: from PyPI, kept in build/venv. mod_wsgi is Debian's
# when PyPI's cannot be built here.
sub stage_python {
    my $dir = work_dir() . '/python';
    my $venv = build() . '/venv';
    install($venv, $_) for @PYPI;
    my ($packages) = glob "$venv/lib/python3*/site-packages";
    die "influxdb from PyPI is not there\n" if !-d "$packages/influxdb";
    system('cp', '-r', $packages, $dir) == 0 or die "cp: $?\n";
    system('sh', '-c', 'cp "$1"/*.py "$1"/*.wsgi "$2"', 'sh',
        "$FindBin::Bin/workshop", $dir) == 0 or die "cp: $?\n";
    my ($so) = glob "$packages/mod_wsgi/server/mod_wsgi-*.so";
    return { dir => $dir, name => "mod_wsgi from PyPI ($PYPI[1])",
        conf => "LoadModule wsgi_module $so\n", modules => [] } if $so;
    return { dir => $dir, name => "Debian's mod_wsgi (PyPI's did not build)",
        conf => '', modules => ['wsgi'] };
}

# Debian's Python, not one that happens to be first in PATH: mod_wsgi links
# its shared library.
sub install {
    my ($venv, $package) = @_;
    my $done = "$venv/" . $package =~ s/==/-/r . '.installed';
    return if -e $done;
    print STDERR "# installing $package from PyPI\n";
    my $python3 = which_one('/usr/bin/python3', 'python3')
        // die "no python3\n";
    system('sh', '-c', '{ test -x "$1/bin/pip" || "$2" -m venv "$1"; } '
        . '&& "$1/bin/pip" install -q "$3" >"$1/pip.log" 2>&1 && : >"$4"',
        'sh', $venv, $python3, $package, $done) == 0
        or warn "$package could not be installed: see $venv/pip.log\n";
}

# ----------------------------------------------------------------- measuring

# Nanoseconds on a CPU of all threads of httpd's children, mod_wsgi's daemon
# among them. The thread pools are of constant size: no thread ends unseen.
sub cpu_ns {
    my ($server) = @_;
    return sum0(map { (split ' ', slurp($_))[0] }
        map { glob "/proc/$_/task/*/schedstat" } $server->children);
}

sub load_once {
    my ($v, $duration, $keep) = @_;
    my ($server, $before) = ($v->{server}, cpu_ns($v->{server}));
    my $run = ImxLoad::run($tool, $server->url($v->{path}),
        connections => $connections, seconds => $duration);
    die "$v->{name}: $run->{errors} requests failed\n" if $run->{errors};
    $v->{sent} += $run->{requests};
    # With the delivery of the last points, which httpd's CPU pays for.
    wait_until(20, sub { points($v) >= least($v) }) if $v->{writes};
    $run->{cpu} = (cpu_ns($server) - $before) / $run->{requests} / 1000;
    push @{ $v->{runs} }, $run if $keep;
}

sub points {
    my ($v) = @_;
    return $db->count('raw-requests', $v->{database}, 'application_time')
        if $v->{database};
    return get($v->{influx})->{headers}{'x-lines'} // die "the sink ended\n";
}

# The module has a point for every request. The Python steps may lose one to
# another with the same time, as nothing there makes times unique.
sub least { return ($_[0]{influx} ? 1 : 0.99) * $_[0]{sent} }

# What is fast because it loses points is not worth a line in the table.
sub check_points {
    my $extra = $tool->{exact} ? 0
        : $connections * ($rounds + 1);     # see ImxLoad
    for my $v (grep { $_->{writes} } @all) {
        my $points = points($v);
        die "$v->{name}: $v->{sent} requests, $points points\n"
            if $points < least($v) || $points > $v->{sent} + $extra;
    }
}

# ----------------------------------------------------------------- the table

sub median {
    my @v = sort { $a <=> $b } @_;
    return ($v[$#v / 2] + $v[@v / 2]) / 2;
}

sub value {
    my ($v, $what) = @_;
    return median(map { $_->{$what} } @{ $v->{runs} });
}

sub ratio {
    my ($v, $base, $what) = @_;
    return median(map { $v->{runs}[$_]{$what} / $base->{runs}[$_]{$what} }
        0 .. $#{ $v->{runs} });
}

sub row {
    my ($v, $base) = @_;
    my $text = sprintf '| %s ', $v->{name};
    for ([rps => '%.0f'], [cpu => '%.1f'], [p99 => '%.2f']) {
        my ($what, $format) = @$_;
        $text .= sprintf "| $format | %s ", value($v, $what),
            $v == $base ? '-' : sprintf '%.3f', ratio($v, $base, $what);
    }
    return "$text|\n";
}

sub report {
    my $text = sprintf "%s, %d connections, %d rounds of %d s, event MPM.\n"
        . "Every ratio is the median of the rounds' own ratios to the first "
        . "line of its block.\nThe load tool and InfluxDB run on the same "
        . "machine: req/s and p99 pay for them,\nCPU a request is httpd's own "
        . "(its children and mod_wsgi's daemon, delivery included).\nA sink "
        . "takes the lines and forgets them, as an InfluxDB elsewhere would "
        . "look from here.\nChecked: the module delivered exactly a point for every "
        . "request.\n",
        $tool->{name}, $connections, $rounds, $seconds;
    for (@groups) {
        my ($name, $variants) = @$_;
        $text .= "\n| $name | req/s | ratio | CPU us/request | ratio | p99 ms "
            . "| ratio |\n|---|---|---|---|---|---|---|\n"
            . join '', map { row($_, $variants->[0]) } @$variants;
    }
    print $text;
    ImxReport::write('bombardier', $text, command => 'make bench',
        versions => join ', ', grep { defined }
            ImxReport::version(ImxTest::Httpd::_place()->{program}, '-v'),
            $python->{name}, $PYPI[0],
            ImxReport::version('influxd', 'version'));
}

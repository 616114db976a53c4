#!/usr/bin/perl
# httpd-suite.pl [--runs plain,on,all] [--parts NAME,...] [--tools DIR]
#                CHECKOUT...
#
# httpd's own tests, without the module and with it in front of everything: no
# test may change its result. A CHECKOUT is that of httpd or of mod_h2, which
# have a pytest suite (test/pyhttpd), or of the Perl framework (httpd-tests). It
# is only read: each run works on a copy. The server is the installed one.
#
#   plain   without the module
#   on      InfluxMetrics On, all defaults
#   all     every tag and field, own ones by expression, routes, a condition, a
#           header to be removed
#
# The module and its directives come before the first line of the suite's
# configuration, in the base server, so that all virtual hosts inherit them. A
# test that differs is repeated, with its file, three times with the module and
# without. It has changed if none of its results with the module is one that it
# has without; else it is called flaky.
#
# Exits 1 if a test changed, or if a run with the module recorded no point.
# What it needs is installed by install-deps.sh suite; packages of Perl and
# Python come into a directory of its own, or into DIR, where the next run finds
# them. Its directory is removed at the end; IMX_KEEP=1 keeps it. The suites
# have fixed ports (5001 to 5100, 8529 and up): one of these at a time, or each
# in a network namespace of its own.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename);
use File::Find qw(find);
use FindBin;
use Getopt::Long;
use POSIX ();

use lib "$FindBin::Bin/../t/lib";
use ImxTest;

my $REPEATS = 3;
my $PART_LIMIT = 2400;          # seconds for one part of a suite
my $TEST_LIMIT = 300;           # for one test

my @PYTHON = ('pytest<8', 'websockets<14', qw(pytest-timeout cryptography
    pyopenssl filelock packaging python-multipart requests psutil tqdm));
my @PERL = qw(libwww-perl liblwp-protocol-https-perl libhttp-dav-perl
    libio-socket-ssl-perl libanyevent-websocket-client-perl libfcgi-perl
    libdatetime-perl libhttp-daemon-perl libdevel-symdump-perl);
# Not loaded for the Perl framework: what it has no tests for and changes every
# answer, or what another one stands in for.
my $NOT_LOADED = qr/^(?:mpm_\w+|wsgi.*|cern_meta|suexec|ident
    |dialup|cgi|influx_metrics)$/x;

my $FRONT_ON = <<'CONF';
InfluxMetrics On
CONF
my $FRONT_ALL = <<'CONF';
InfluxMetrics On
InfluxMetricsTags +backend +handler +protocol +scheme +status_class +user \
    +vhost_port
InfluxMetricsFields +uri +query +client +user_agent +referer +keepalive \
    +connection_id +request_id +trace_id +pid +thread +tls_version +aborted \
    +server_time +input_time +output_time +ttfb +bytes_received
InfluxMetricsTag type "%{CONTENT_TYPE}"
InfluxMetricsField length int "%{resp:Content-Length}"
InfluxMetricsField script string "%{SCRIPT_FILENAME}"
InfluxMetricsField authorized string "%{REMOTE_USER}"
InfluxMetricsField noted string "%{note:imx}"
InfluxMetricsRoute index "^/(index\.html)?$"
InfluxMetricsRoute modules "^/modules/"
InfluxMetricsTagLimit 50
InfluxMetricsIf "%{REQUEST_METHOD} != 'IMX'"
InfluxMetricsUnsetHeader X-Imx-Items
CONF
my %FRONT = (plain => undef, on => $FRONT_ON, all => $FRONT_ALL);

my ($runs, $parts, $tools) = ('plain,on,all', '');
GetOptions('runs=s' => \$runs, 'parts=s' => \$parts, 'tools=s' => \$tools)
    && @ARGV or die "usage: $0 [--runs plain,on,all] [--parts NAME,...] "
    . "[--tools DIR] CHECKOUT...\n";
my @runs = ('plain', grep { $_ ne 'plain' } split /,/, $runs);
for (@runs) {
    die "no run '$_': plain, on or all\n" if !exists $FRONT{$_};
}
my %wanted = map { $_ => 1 } split /,/, $parts;
$| = 1;

my $work = work_dir();
$tools = abs_path($tools // $work) // die "$tools: $!\n";
my $user = $> ? undef : ImxTest::Httpd::_place()->{user};
my $httpd = ImxTest::Httpd::_place();
chomp(my $apxs = `command -v apxs || command -v apxs2`);
my $db = @runs > 1 ? influxd() : undef;
my $copies = 0;
my $group;                      # of the command that is running

END {
    local ($?, $!);
    kill KILL => -$group if $group;
    end_processes_of($work) if defined $work;
}

exit main(map { abs_path($_) // die "$_: $!\n" } @ARGV);

# ------------------------------------------------------------------ commands

# Runs a command as the user who also runs httpd, in a process group of its
# own, which is ended with it or after the limit; httpd is not in that group.
sub run_in {
    my ($dir, $log, $env, $limit, @command) = @_;
    unshift @command, which_one('runuser'), '-u', $user, '--' if defined $user;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        POSIX::setsid();        # and a fair share of a busy machine
        chdir $dir or die "$dir: $!";
        delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};
        @ENV{'HOME', keys %$env} = ($dir, values %$env);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $log or die "$log: $!";
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    $group = $pid;
    local $SIG{ALRM} = sub { kill KILL => -$group };
    alarm $limit;
    waitpid $pid, 0;
    my $status = $?;
    alarm 0;
    kill KILL => -$group;
    $group = undef;
    return $status;
}

sub must {
    system(@_) == 0 or die "failed: @_\n";
}

sub owned {
    my ($dir) = @_;
    must('chown', '-RPh', "$user:", $dir) if defined $user;
    return $dir;
}

# Processes that have this directory in their command line: httpd, and what
# tests start beside it.
sub processes_of {
    my ($dir) = @_;
    return grep { slurp("/proc/$_/cmdline") =~ m{\Q$dir\E/} }
        map { m{(\d+)$} } glob '/proc/[0-9]*';
}

# A suite does not wait for httpd's end, and may leave one behind.
sub end_processes_of {
    my ($dir) = @_;
    return if wait_until(20, sub { !processes_of($dir) });
    kill TERM => processes_of($dir);
    return if wait_until(20, sub { !processes_of($dir) });
    kill KILL => processes_of($dir);
}

# ------------------------------------------------------------------- servers

# The program that a suite starts for httpd. Debian's has its files in /run, as
# root; here they are where the suite has its own.
sub server_program {
    my ($run) = @_;
    my $program = "$work/server-$run/" . basename($httpd->{program});
    return $program if -e $program;
    my $front = "PidFile logs/httpd.pid\nDefaultRuntimeDir logs\n";
    $front .= 'LoadModule influx_metrics_module ' . module_copy() . "\n"
        . 'InfluxMetricsServer ' . $db->url . "\nInfluxMetricsDatabase $run\n"
        . $FRONT{$run} if defined $FRONT{$run};
    spew("$work/server-$run/front.conf", $front);
    spew($program, "#!/bin/sh\nexec $httpd->{program} -C "
        . qq('Include $work/server-$run/front.conf' "\$@"\n), 0755);
    return $program;
}

# Where the suite's user can read it.
sub module_copy {
    my $copy = "$work/mod_influx_metrics.so";
    must('cp', build() . '/mod_influx_metrics.so', $copy) if !-e $copy;
    return $copy;
}

sub modules {
    return map { m{/mod_([^/]+)\.so$} ? $1 : () }
        glob "$httpd->{modules}/mod_*.so";
}

# ------------------------------------------------------------ pytest suites

sub python {
    my $venv = "$tools/venv";
    return "$venv/bin/python" if -e $venv;
    # Not one that is under a home directory.
    must(-x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3', '-m', 'venv',
        $venv);
    must("$venv/bin/pip", '-q', '--disable-pip-version-check', 'install',
        @PYTHON);
    spew("$venv/imx/imx_results.py", <<'PYTHON');
import os

ORDER = ["passed", "skipped", "failed", "error"]
results = {}


def pytest_runtest_logreport(report):
    outcome = report.outcome
    if outcome == "failed" and report.when != "call":
        outcome = "error"
    old = results.get(report.nodeid, "passed")
    results[report.nodeid] = max(old, outcome, key=ORDER.index)
    with open(os.environ["IMX_RESULTS"], "a") as f:
        name = report.nodeid.encode("unicode_escape").decode()
        f.write(f"{name}\t{results[report.nodeid]}\n")
PYTHON
    return "$venv/bin/python";
}

sub pytest_parts {
    my ($checkout) = @_;
    my %parts = map { m{/([^/]+)/test_[^/]+$} ? ($1 => 1) : () }
        glob "$checkout->{dir}/test/modules/*/test_*.py";
    return sort keys %parts;
}

sub pytest_prepare {
    my ($checkout, $dir, $run) = @_;
    must('cp', '-R', "$checkout->{dir}/test", "$dir/test");
    my $program = server_program($run);
    my $dso = join ' ', modules();
    my ($static) = join ' ', sort keys %{ $httpd->{static} };
    chomp(my $version = `$apxs -q HTTPD_VERSION`);
    spew("$dir/test/pyhttpd/config.ini", <<"INI");
[global]
curl_bin = curl
nghttp = nghttp
h2load = h2load
prefix = /usr
exec_prefix = /usr
bindir = /usr/bin
sbindir = /usr/sbin
libdir = /usr/lib
libexecdir = $httpd->{modules}
apr_bindir = /usr/bin
apxs = $apxs
apachectl = $program
httpd = $program
[httpd]
version = $version
name = httpd
dso_modules = $dso
static_modules = $static
mpm_modules = mpm_event mpm_worker mpm_prefork
[test]
gen_dir = $dir/test/gen
http_port = 5002
https_port = 5001
proxy_port = 5003
http_port2 = 5004
ws_port = 5100
http_tld = tests.httpd.apache.org
test_dir = $dir/test/pyhttpd
test_src_dir = $dir/test/pyhttpd
src_dir = $dir
INI
    spew("$dir/test/clients/Makefile", <<'MAKE');
h2ws: h2ws.c
	cc $$(apr-1-config --includes --cppflags) -o h2ws h2ws.c -lnghttp2
MAKE
    # mod_h2's suite looks for its own build.
    mkdir "$dir/mod_http2";
    mkdir "$dir/mod_http2/.libs";
    symlink "$httpd->{modules}/mod_$_.so", "$dir/mod_http2/.libs/mod_$_.so"
        for qw(http2 proxy_http2);
}

sub pytest_run {
    my ($dir, $log, $part, @files) = @_;
    my $results = "$dir/results";
    unlink $results;
    run_in("$dir/test", $log, {
        PATH => "$tools/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        PYTHONPATH => "$tools/venv/imx",
        PYTHONDONTWRITEBYTECODE => 1,
        IMX_RESULTS => $results,
    }, $PART_LIMIT, python(), '-m', 'pytest', '-q', '-p', 'no:cacheprovider',
        '-p', 'imx_results', "--timeout=$TEST_LIMIT",
        @files ? @files : "modules/$part");
    end_processes_of($dir);
    return { map { /^(.*)\t(\w+)$/ ? ($1 => $2) : () }
        split /\n/, slurp($results) };
}

# ------------------------------------------------------------ Perl framework

# Perl's packages are unpacked, not installed: they would bring along a newer
# perl, and mod_perl, which is the one that has Apache::Test.
sub perl_env {
    my $root = "$tools/perl";
    if (!-e $root) {
        mkdir $root;
        my @names = map { /^Inst (\S+)/ ? $1 : () }
            `apt-get install -s --no-install-recommends @PERL 2>/dev/null`;
        @names = grep { /-perl$|^libfcgi|^perl-openssl/ } @names;
        must("cd $root && apt-get -qq download libapache2-mod-perl2 @names "
            . '2>/dev/null && for deb in *.deb; do dpkg -x $deb .; done');
    }
    chomp(my $arch = `dpkg-architecture -qDEB_HOST_MULTIARCH`);
    my ($xs) = glob "$root/usr/lib/$arch/perl5/*";
    my @old = grep { defined && length } $ENV{LD_LIBRARY_PATH};
    return {
        PERL5LIB => join(':', "$root/usr/share/perl5", $xs),
        LD_LIBRARY_PATH => join(':', "$root/usr/lib/$arch", @old),
        PERL_TEST_HARNESS_DUMP_TAP => $_[0],
    };
}

sub perl_parts {
    my ($checkout) = @_;
    my %parts = map { m{/([^/]+)/[^/]+$} ? ($1 => 1) : () }
        glob "$checkout->{dir}/t/*/*.t";
    return sort keys %parts;
}

sub perl_prepare {
    my ($checkout, $dir, $run) = @_;
    must('cp', '-R', "$checkout->{dir}/.", $dir);
    my $conf = "ServerRoot $dir\n" . join '', map {
        "LoadModule ${_}_module $httpd->{modules}/mod_$_.so\n"
    } 'mpm_event', grep { !/$NOT_LOADED/ } modules();
    # Already loaded, but t/modules/info.t compares with what stands here.
    $conf .= 'LoadModule influx_metrics_module ' . module_copy() . "\n"
        if defined $FRONT{$run};
    spew("$dir/modules.conf", $conf);
    mkdir "$dir/t/logs";        # httpd is asked for its modules before
    owned($dir);
    my $log = "$work/prepare.log";
    run_in($dir, $log, perl_env(''), $PART_LIMIT, 'perl', 'Makefile.PL',
        '-apxs', $apxs, '-httpd', server_program($run), '-httpd_conf',
        "$dir/modules.conf") == 0 or die slurp($log);
}

sub perl_run {
    my ($dir, $log, $part, @files) = @_;
    my $tap = "$dir/tap";
    must('rm', '-rf', $tap);
    mkdir $tap;
    owned($tap);
    run_in($dir, $log, perl_env($tap), $PART_LIMIT, 'perl', 't/TEST',
        @files ? @files : "t/$part");
    end_processes_of($dir);
    my %result;
    find({ no_chdir => 1, wanted => sub {
        return if !-f;
        my ($file, $text) = ($_ =~ s{^\Q$tap\E/}{}r, slurp($_));
        $result{$file} = 'skipped' if $text =~ /^1\.\.0\b/m;
        while ($text =~ /^(not )?ok (\d+)\b([^\n]*)/mg) {
            my ($not, $n, $rest) = ($1, $2, $3);
            $result{"$file $n"} = $rest =~ /# *skip/i ? 'skipped'
                : $rest =~ /# *todo/i ? 'passed' : $not ? 'failed' : 'passed';
        }
    } }, $tap);
    return \%result;
}

# ----------------------------------------------------------------- all suites

my %KIND;

BEGIN {
    %KIND = (
        pytest => { port => 5001, parts => \&pytest_parts,
            prepare => \&pytest_prepare, run => \&pytest_run,
            file => sub { $_[0] =~ s/::.*//sr } },
        perl => { port => 8529, parts => \&perl_parts,
            prepare => \&perl_prepare, run => \&perl_run,
            file => sub { $_[0] =~ s/ \d+$//r } },
    );
}

sub checkout {
    my ($dir) = @_;
    my $kind = -d "$dir/test/pyhttpd" ? 'pytest'
        : -d "$dir/t/conf" && -f "$dir/Makefile.PL" ? 'perl'
        : die "$dir has neither test/pyhttpd nor t/conf and Makefile.PL\n";
    return { dir => $dir, name => basename($dir), %{ $KIND{$kind} } };
}

# Runs a part of a suite, or some of its files: result by name of the test.
sub run_part {
    my ($checkout, $run, $part, @files) = @_;
    my $dir = $checkout->{copy}{$run};
    if (!defined $dir) {
        $dir = $checkout->{copy}{$run} = "$work/suite" . ++$copies;
        mkdir $dir or die "$dir: $!";
        $checkout->{prepare}->($checkout, $dir, $run);
        owned($dir);
    }
    die "port $checkout->{port} is in use\n"
        if IO::Socket::INET->new("127.0.0.1:$checkout->{port}");
    my $log = "$work/$checkout->{name}-$part-$run.log";
    my $result = $checkout->{run}->($dir, $log, $part, @files);
    print STDERR substr slurp($log), -4000 if !%$result;
    return $result;
}

sub points {
    my ($run) = @_;
    return $db->count('raw-requests', $run);
}

sub counts {
    my ($result) = @_;
    my %n = map { $_ => 0 } qw(passed failed error skipped);
    $n{$_}++ for values %$result;
    return @n{qw(passed skipped)}, $n{failed} + $n{error};
}

sub print_row {
    my ($what, $run, $result, $points) = @_;
    my ($passed, $skipped, $failed) = counts($result);
    printf "%-24s %-6s %6d %7d %7d %8d %7s\n", $what, $run,
        scalar keys %$result, $passed, $failed, $skipped, $points;
}

sub differing {
    my ($plain, $with) = @_;
    my %all = (%$plain, %$with);
    return grep { ($plain->{$_} // 'not run') ne ($with->{$_} // 'not run') }
        sort keys %all;
}

# Repeats the files of tests that differ; how many of these changed.
sub judge {
    my ($checkout, $run, $part, $plain, $with) = @_;
    my @names = differing($plain, $with);
    return 0 if !@names;
    my %files = map { $checkout->{file}->($_) => 1 } @names;
    my %seen;
    my $note = sub {
        my ($side, $result) = @_;
        $seen{$_}{$side}{ $result->{$_} // 'not run' }++ for @names;
    };
    $note->(plain => $plain);
    $note->(with => $with);
    for (1 .. $REPEATS) {
        $note->(plain => run_part($checkout, 'plain', $part, sort keys %files));
        $note->(with => run_part($checkout, $run, $part, sort keys %files));
    }
    my $changed = 0;
    for my $name (@names) {
        my ($p, $w) = @{ $seen{$name} }{qw(plain with)};
        my $flaky = grep { $p->{$_} } keys %$w;
        $changed++ if !$flaky;
        printf "  %s in run %s: %s\n    plain: %s; with the module: %s\n",
            $flaky ? 'flaky' : 'CHANGED', $run, $name,
            map { my $r = $_; join ', ', map { "$r->{$_} x $_" } sort keys %$r }
            $p, $w;
    }
    return $changed;
}

sub main {
    my @checkouts = map { checkout($_) } @_;
    python() if grep { $_->{run} == \&pytest_run } @checkouts;
    print grep { s/^Server version: // } `$httpd->{program} -v`;
    printf "%-24s %-6s %6s %7s %7s %8s %7s\n", 'suite and part', 'run',
        qw(tests passed failed skipped points);
    my ($bad, %total) = (0);
    for my $checkout (@checkouts) {
        for my $part ($checkout->{parts}->($checkout)) {
            next if %wanted && !$wanted{$part};
            my $plain;
            for my $run (@runs) {
                my $before = $run eq 'plain' ? 0 : points($run);
                my $result = run_part($checkout, $run, $part);
                my $points = $run eq 'plain' ? '-' : points($run) - $before;
                print_row("$checkout->{name} $part", $run, $result, $points);
                $total{$run}{"$checkout->{name} $_"} = $result->{$_}
                    for keys %$result;
                $plain //= $result;
                $bad += judge($checkout, $run, $part, $plain, $result)
                    if $run ne 'plain';
            }
        }
    }
    for my $run (@runs) {
        my $points = $run eq 'plain' ? '-' : points($run);
        print_row('all', $run, $total{$run} // {}, $points);
        $bad++ if !%{ $total{$run} // {} } || $points eq '0';
    }
    print $bad ? "failed\n" : "no test changed its result\n";
    return $bad ? 1 : 0;
}

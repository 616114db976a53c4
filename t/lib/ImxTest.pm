package ImxTest;
#
# Private influxd, victoria-metrics and httpd for tests, demo and benchmarks.
# This file only puts the modules in ImxTest/ together.  Core Perl only.
# Every server listens on 127.0.0.1, on a free port, in a directory of its own;
# END ends them by their pids and removes the directory (kept, and named, with
# IMX_KEEP=1).  Paused, killed or crashed: END cleans up.
#
#   use lib 't/lib'; use ImxTest;
#
#   my $db = influxd();                  # auth => 1 (admin, secret)
#                                        # start => 0: not yet
#                                        # socket => 1: also on $db->socket
#                                        # max_body => bytes of a write
#                                        # max_values => of a tag
#                                        # max_series => of a database
#   $db->url; $db->port;                 # http://127.0.0.1:PORT
#   $db->query('SELECT ...', 'httpd');   # rows as hashes, tags merged in,
#                                        # time in ns; dies on an error
#   $db->count('raw-requests');          # points, 0 when there are none
#   $db->write($lines, 'httpd');         # as a client does; dies on an error
#   $db->stop; $db->kill; $db->pause; $db->resume; $db->start; $db->restart;
#   my $db2 = influxd2();                # InfluxDB 2.7; its setup: org, bucket
#                                        # tls => [$cert, $key], ca => $file
#                                        # "httpd", $db2->token
#   $db2->count(...), ->query(...);      # as above: database = bucket
#   $db2->flux('from(...) ...');         # rows as query() has them
#   $db2->make_bucket('name');           # influxd2_program(): path, or why not
#   my $vm = victoria(); $vm->samples('raw-requests_bytes_sent'); # also start..
#
#   my $h = httpd(mpm => 'event',        # or worker, prefork (default: event)
#                 module => 1,           # load $IMX_BUILD/mod_influx_metrics.so
#                 influx => $db,         # InfluxMetrics On, its Server (or URL)
#                 modules => ['rewrite'],# besides authz_core, mime, dir
#                 children => 2, threads => 16,
#                 through => ['command', ...],   # that executes httpd
#                 figures => 1,          # the status page, on a port of its own
#                 conf => "text",        # or sub ($h) { "text" }: ports, dirs
#                 vhosts => ['www.example.org' => "text", ...],
#                 start => 0);           # else it is started, or dies
#   $h->start($flag...); $h->stop; $h->graceful_stop; $h->systemd_stop;
#   $h->restart;
#   $h->graceful; $h->graceful(gone => 1);    # ... and no old child is left
#   $h->reconf(module => 0, ...);        # rewrites the file; then graceful
#   my ($ok, $text) = $h->configtest;    # httpd -t
#   $h->url('/x'); $h->url('/x', 'www.example.org'); $h->port('www...');
#   $h->dir; $h->docroot; $h->put('htdocs/a.html', "text", 0644); # dir-relative
#   $h->secret('password', "text");      # the same, for the server's user only
#   $h->pid; $h->children; $h->kill_child($pid); $h->alive;
#   $h->access_log;    # hashes: server method status bytes us pid path line
#   $h->error_log;     # lines;  $h->complaints: those above notice
#
#   get($url); raw($port, $bytes, %o); http($method, $url, \%o)
#   load(url =>, n =>, c =>, keepalive => 1)      # ab: result hash, checked
#   my $l = client(port =>, n => or seconds =>, c =>, path =>, close => 1,
#                  request => all its bytes, where it is no GET of the path,
#                  rate => requests a second of each connection,
#                  timeout => seconds without a byte);
#   my $r = $l->wait;  # {sent, complete, broken}: never repeats a request
#   wait_until(10, sub { ... }); free_port(); work_dir(); top(); build();
#   nap(0.1);       # returns what it really took
#   rooms(), low_files();   # the tables of docs/architecture.md
#   status($h);     # the status page as a hash, undef when nobody answers;
#   figures($h);    # ... or dies; of an httpd with figures => 1, or /status
#   figures_are($h, { points_sent => 3, ... }, 'name', seconds => 20);
#   accounts_ok($h, 'name');  # it has all figures, they add up, and none has
#                             # gone back since the last time; returns them
#   my $w = watch($h);        # looks at it all the time, from a process
#   $w->ok('name');           # that ends; each look must have been accounts_ok
#   count_is($db, $n or $h, 'name'); finish();    # sanitizers, done_testing
#
# IMX_BUILD: build directory.  IMX_PRELOAD: sanitizer library to start httpd
# with; waits are then longer, sanitizer_reports() lists what was found.
#

use strict;
use warnings;
use Exporter qw(import);
use Test::More ();

use ImxTest::Client;
use ImxTest::Files;
use ImxTest::Http;
use ImxTest::Httpd;
use ImxTest::Influx;
use ImxTest::Influx2;
use ImxTest::Sources;
use ImxTest::Status;
use ImxTest::Victoria;
use ImxTest::Wait;
use ImxTest::Watch;

our @EXPORT = qw(free_port work_dir top build wait_until slow nap which_one
    influxd influxd2 influxd2_program victoria httpd get http raw load client
    count_is status figures accounts_ok figures_are watch sanitizer_reports
    finish slurp spew rooms low_files test_module);

# The .so of t/lib/mod_NAME.c, a module of httpd that a test needs.
sub test_module {
    my ($name) = @_;
    my $apxs = $ENV{APXS} || which_one('apxs') || which_one('apxs2')
        or die 'apxs is not installed';
    my @include = map { "-isystem $_" } split /\n/,
        `$apxs -q INCLUDEDIR; $apxs -q APR_INCLUDEDIR`;
    my $so = work_dir() . "/mod_$name.so";
    system(join ' ', $ENV{CC} || 'cc', '-shared -fPIC -DLINUX -D_REENTRANT',
        '-D_GNU_SOURCE', @include, '-o', $so, top() . "/t/lib/mod_$name.c") == 0
        or die "mod_$name.c cannot be compiled\n";
    return $so;
}

sub influxd { return ImxTest::Influx->new(@_) }
sub influxd2 { return ImxTest::Influx2->new(@_) }
sub influxd2_program { return ImxTest::Influx2::program() }
sub victoria { return ImxTest::Victoria->new(@_) }
sub httpd { return ImxTest::Httpd->new(@_) }
sub client { return ImxTest::Client->new(@_) }
sub watch { return ImxTest::Watch->new(@_) }

# ThreadSanitizer knows only the module's own code: what httpd and APR do between
# their threads to keep things apart it does not see.  It also takes a child that
# httpd forks for code of the signal handler in which its parent was last.  So
# only reports that have to do with the module count.
# Who made the call, or the access, of each stack: what is not the sanitizer's.
sub _callers {
    my ($report) = @_;
    my @stacks = grep { /^ *#0 /m && !/created (?:by|at)/ }
        split /\n\s*\n/, $report;
    return grep { defined } map {
        (grep { !/libtsan|sanitizer/ } /^ *#\d+ (.*)/mg)[0]
    } @stacks;
}

# prefork's children end in a signal handler, whatever that interrupts, and log
# the request there; httpd closes connections that are written to at a stop.
# Ours is what we call ourselves.  To look what a descriptor is (is_other_end)
# takes nothing from its owner.
sub _is_of_httpd {
    my ($report) = @_;
    return 1 if $report !~ /Sanitizer: (?!reported)|runtime error/;
    return 0 if $report !~ /WARNING: ThreadSanitizer/;
    my @callers = _callers($report);
    return 1 if $report !~ /mod_influx_metrics/
        || $report =~ /signal-unsafe/ && $report =~ /ap_run_log_transaction/
        || grep { /\bis_other_end\b/ } @callers;
    return 0 if $report !~ /signal-unsafe|spoils errno|destroy of a locked mutex/
        && $report !~ /Location is file descriptor/;
    return !grep { /mod_influx_metrics/ } @callers;
}

# Reports of AddressSanitizer are files; UndefinedBehaviorSanitizer, loaded
# beside it, writes to stderr, which is httpd's error log once that is open.
sub sanitizer_reports {
    return () if !defined work_dir_made();
    my $work = work_dir();
    my @reports = grep { !_is_of_httpd($_) } map { split /(?<=^={18}\n)/m }
        map { slurp($_) } grep { -s } glob "$work/*/sanitizer/*";
    for my $log (glob "$work/httpd*/{error,stdout,configtest}.log") {
        push @reports, slurp($log) =~ /^.*(?:runtime error: |Sanitizer:).*$/mg;
    }
    return @reports;
}

sub finish {
    if ($ENV{IMX_PRELOAD}) {
        my @reports = sanitizer_reports();
        Test::More::is(scalar @reports, 0, 'no sanitizer report')
            or Test::More::diag(join "\n", map { substr $_, 0, 4000 } @reports);
    }
    Test::More::done_testing();
}

1;

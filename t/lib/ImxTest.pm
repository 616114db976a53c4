package ImxTest;
#
# Private influxd, victoria-metrics and httpd for tests, demo and benchmarks.
# Core Perl only.  Every server listens on 127.0.0.1, on a free port, in a
# directory of its own; END ends them by their pids and removes the directory
# (kept, and named, with IMX_KEEP=1).  Paused, killed or crashed: END cleans up.
#
#   use lib 't/lib'; use ImxTest;
#
#   my $db = influxd();                  # auth => 1 (admin, secret)
#                                        # start => 0: not yet
#                                        # socket => 1: also on $db->socket
#                                        # max_body => bytes of a write
#   $db->url; $db->port;                 # http://127.0.0.1:PORT
#   $db->query('SELECT ...', 'httpd');   # rows as hashes, tags merged in,
#                                        # time in ns; dies on an error
#   $db->count('raw-requests');          # points, 0 when there are none
#   $db->stop; $db->kill; $db->pause; $db->resume; $db->start; $db->restart;
#   my $db2 = influxd2();                # InfluxDB 2.7; its setup: org, bucket
#                                        # tls => [$cert, $key], ca => $file
#                                        # "httpd", $db2->token
#   $db2->count(...), ->query(...);      # as above: database = bucket
#   $db2->make_bucket('name');           # influxd2_program(): path, or why not
#   my $vm = victoria(); $vm->samples('raw-requests_bytes_sent'); # also start..
#
#   my $h = httpd(mpm => 'event',        # or worker, prefork (default: event)
#                 module => 1,           # load $IMX_BUILD/mod_influx_metrics.so
#                 influx => $db,         # InfluxMetrics On, its Server (or URL)
#                 modules => ['rewrite'],# besides authz_core, mime, dir
#                 children => 2, threads => 16,
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
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX qw(:sys_wait_h);
use Socket qw(SOL_SOCKET SO_RCVBUF SO_RCVTIMEO INADDR_LOOPBACK
    pack_sockaddr_in);
use Test::More ();
use Time::HiRes qw(time);

our @EXPORT = qw(free_port work_dir top build wait_until slow nap which_one
    influxd influxd2 influxd2_program victoria httpd get http raw load client
    count_is status figures accounts_ok figures_are watch sanitizer_reports
    finish slurp spew rooms low_files);

my $owner = $$;                 # only this process cleans up
my $top = abs_path(dirname(__FILE__) . '/../..');
my ($work, @running, %given);

$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { exit 1 };    # so that END runs
$SIG{PIPE} = 'IGNORE';

END {
    if ($$ == $owner) {
        local ($?, $@, $!);
        $_->_end for grep { defined } reverse @running;
        if (defined $work && $ENV{IMX_KEEP}) {
            Test::More::diag("kept: $work");
        }
        elsif (defined $work) {
            remove_tree($work, { error => \my $ignored });
        }
    }
}

sub top { $top }

sub build {
    my $dir = $ENV{IMX_BUILD} // 'build';
    return $dir =~ m{^/} ? $dir : "$top/$dir";
}

# How much longer everything may take under a sanitizer.
sub slow { $ENV{IMX_PRELOAD} ? 4 : 1 }

sub work_dir {
    if (!defined $work) {
        $work = tempdir('imx-' . 'X' x 8, DIR => '/tmp');
        chmod 0755, $work or die "$work: $!";   # children may be www-data
    }
    return $work;
}

# Below the range the kernel gives to outgoing connections, so that no client
# of a test running beside this one can sit on it.  A name in the abstract
# namespace, held until we end, keeps the other tests off it until it is used.
sub free_port {
    for (1 .. 1000) {
        my $port = 12000 + int rand 20000;
        next if $given{$port};
        my $mine = IO::Socket::UNIX->new(Local => "\0imx-test-port-$port",
            Listen => 1) or next;
        my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $port, Listen => 1, ReuseAddr => 1) or next;
        close $s;
        $given{$port} = $mine;
        return $port;
    }
    die 'no free port on 127.0.0.1';
}

# Polls until the condition is true; its value, or false after the limit.
sub wait_until {
    my ($seconds, $condition) = @_;
    my $end = time + $seconds * slow();
    while (1) {
        my $value = $condition->();
        return $value if $value;
        return $value if time > $end;
        select undef, undef, undef, 0.05;
    }
}

sub slurp {
    my ($path) = @_;
    open my $f, '<:raw', $path or return '';
    local $/;
    return <$f> // '';
}

sub spew {
    my ($path, $text, $mode) = @_;
    make_path(dirname($path));
    open my $f, '>:raw', $path or die "$path: $!";
    print {$f} $text or die "$path: $!";
    close $f or die "$path: $!";
    chmod $mode, $path or die "$path: $!" if defined $mode;
    return $path;
}

sub which_one {
    for my $name (@_) {
        return $name if $name =~ m{/} && -x $name;
        for my $dir (split(/:/, $ENV{PATH} // ''), '/usr/sbin', '/sbin') {
            return "$dir/$name" if -x "$dir/$name" && !-d _;
        }
    }
    return;
}

sub http {
    my ($method, $url, $options) = @_;
    return HTTP::Tiny->new(timeout => 20 * slow(), max_redirect => 0,
        keep_alive => 0)->request($method, $url, $options // {});
}

sub get { http('GET', $_[0]) }

# Sleeps, and returns for how long it really did.
sub nap {
    my ($seconds) = @_;
    my $begin = time;
    select undef, undef, undef, $seconds;
    return time - $begin;
}

# Sends bytes as they are and returns what comes back until the server closes.
# pause => [after_bytes, seconds, ...] sends the rest later;
# read_pause => seconds waits before reading; rcvbuf => bytes; half_close => 1
# ends our direction after sending; read => 0 closes at once.
# paused => \my $seconds: what the pauses took in all.
sub raw {
    my ($port, $bytes, %o) = @_;
    # A small receive buffer has to be asked for before connecting.
    my $s = IO::Socket::INET->new(Proto => 'tcp') or die "socket: $!";
    setsockopt $s, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} if $o{rcvbuf};
    connect $s, pack_sockaddr_in($port, INADDR_LOOPBACK)
        or die "connect to $port: $!";
    my ($sent, $paused, @pauses) = (0, 0, @{ $o{pause} // [] });
    while (my ($after, $seconds) = splice @pauses, 0, 2) {
        _write($s, substr $bytes, $sent, $after - $sent);
        $paused += nap($seconds);
        $sent = $after;
    }
    _write($s, substr $bytes, $sent);
    shutdown $s, 1 if $o{half_close};
    $paused += nap($o{read_pause}) if $o{read_pause};
    ${ $o{paused} } = $paused if $o{paused};
    return '' if exists $o{read} && !$o{read};
    my ($got, $ready) = ('', IO::Select->new($s));
    my $end = time + ($o{timeout} // 20) * slow();
    while (time < $end && $ready->can_read($end - time)) {
        sysread($s, $got, 65536, length $got) or last;
    }
    close $s;
    return $got;
}

sub _write {
    my ($s, $bytes) = @_;
    my $done = 0;
    while ($done < length $bytes) {
        my $n = syswrite $s, $bytes, length($bytes) - $done, $done;
        return 0 unless $n;
        $done += $n;
    }
    return 1;
}

# ab with an exact number of requests; dies unless each of them was answered.
sub load {
    my (%o) = (c => 4, keepalive => 1, @_);
    my $ab = which_one('ab') or die 'ab (apache2-utils) is not installed';
    my @cmd = ($ab, '-q', '-r', ($o{keepalive} ? '-k' : ()), '-s', 60,
        '-n', $o{n}, '-c', $o{c}, $o{url});
    open my $p, '-|', @cmd or die "ab: $!";
    my $text = do { local $/; <$p> };
    close $p or die "ab failed: $text";
    my %r = (text => $text);
    ($r{complete}) = $text =~ /^Complete requests:\s+(\d+)/m;
    ($r{failed}) = $text =~ /^Failed requests:\s+(\d+)/m;
    ($r{rate}) = $text =~ /^Requests per second:\s+([\d.]+)/m;
    die "ab: $text" if $r{complete} != $o{n} || $r{failed};
    return \%r;
}

# Waits until the status page has these figures; then the accounts, too.
sub figures_are {
    my ($h, $figures, $name, %o) = @_;
    my $s;
    my @names = sort keys %$figures;
    wait_until($o{seconds} // 20, sub {
        $s = figures($h);
        return !grep { $s->{$_} ne $figures->{$_} } @names;
    });
    Test::More::is_deeply({ map { $_ => $s->{$_} } @names }, $figures, $name);
    return accounts_ok($h, $name);
}

# Waits until there are as many points as expected: a number, or an httpd,
# which means as many as its access log has lines by then (it writes a line
# after the client has its answer).
sub count_is {
    my ($db, $expected, $name, %o) = @_;
    my ($count, $wanted) = (-1, -1);
    wait_until($o{seconds} // 20, sub {
        $count = $db->count($o{measurement} // 'raw-requests', $o{database});
        $wanted = ref $expected ? $expected->access_count : $expected;
        return $count == $wanted;
    });
    return Test::More::is($count, $wanted, $name);
}

# ---- the account: recorded = sent + rejected + dropped + pending + spooled

# undef when nobody answers.
sub status {
    my ($h) = @_;
    my $url = $h->{figures} ? $h->url('/?json', 'figures')
        : $h->url('/status?json');
    my $answer = HTTP::Tiny->new(timeout => 5, keep_alive => 0)->get($url);
    return if !$answer->{success};
    return eval { JSON::PP::decode_json($answer->{content}) };
}

sub figures { return status($_[0]) // die 'the status page does not answer' }

my @FIGURES = qw(points_recorded points_sent points_rejected points_dropped
    points_pending points_spooled dropped_no_room dropped_oldest dropped_torn
    dropped_spool last_flush last_error last_status server lease_holder
    buffer_size buffer_used spool_bytes uptime);
my @GROWING = qw(points_recorded points_sent points_rejected points_dropped);

# What is wrong with the figures; those of the look before may be there.
sub _faults {
    my ($s, $before) = @_;
    my @missing = grep { !exists $s->{$_} } @FIGURES;
    return "no figure @missing" if @missing;
    my @faults;
    my $sum = 0;
    $sum += $s->{"points_$_"} for qw(sent rejected dropped pending spooled);
    push @faults, "$s->{points_recorded} recorded, the parts make $sum"
        if $sum != $s->{points_recorded};
    my $reasons = 0;
    $reasons += $s->{"dropped_$_"} for qw(no_room oldest torn spool);
    push @faults, "$s->{points_dropped} dropped, the reasons make $reasons"
        if $reasons != $s->{points_dropped};
    push @faults, map { "$_ is $s->{$_}" } grep { $s->{$_} < 0 }
        grep { /^points_|^dropped_|_bytes$|^buffer_/ } @FIGURES;
    push @faults, "more of the buffer in use than there is"
        if $s->{buffer_used} > $s->{buffer_size};
    # A server that was started anew counts anew.
    push @faults, map { "$_ went from $before->{$_} to $s->{$_}" }
        grep { $s->{$_} < $before->{$_} } @GROWING
        if $before && $s->{uptime} >= $before->{uptime};
    return @faults;
}

sub accounts_ok {
    my ($h, $name) = @_;
    my $s;
    wait_until(20, sub { $s = status($h) });
    my $before = $h->{account};
    undef $before if $before && $before->{of} != $h->pid;
    my @faults = $s ? _faults($s, $before) : 'nobody answers';
    $h->{account} = $s && { %$s, of => $h->pid };
    Test::More::is_deeply(\@faults, [], "$name: the account adds up")
        or Test::More::diag(Test::More::explain($s));
    return $s;
}

sub watch { return ImxTest::Watch->new(@_) }

# Reports of AddressSanitizer are files; UndefinedBehaviorSanitizer, loaded
# beside it, writes to stderr, which is httpd's error log once that is open.
sub sanitizer_reports {
    return () if !defined $work;
    my @reports = map { slurp($_) } grep { -s } glob "$work/*/sanitizer/*";
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

# The table | level | file | of docs/architecture.md: base name => level.
# From the tables of docs/architecture.md: level of each room, the names of the
# rooms that know httpd, and room/file => what it owns, without the ending.
sub rooms {
    my (%level, %httpd, %files);
    for (split /\n/, slurp("$top/docs/architecture.md")) {
        if (/^\|\s*(\d+)\s*\|\s*(\S+)\s*\|[^|]*\|\s*(yes|no)\s*\|/) {
            $level{$2} = $1;
            $httpd{$2} = 1 if $3 eq 'yes';
        }
        elsif (m{^\|\s*(\.|src/\w+)\s*\|\s*(\w+)\.(?:\[ch\]|[ch])\s*\|}) {
            push @{$files{$1}}, $2;
        }
    }
    return (\%level, \%httpd, \%files);
}

# The source files of the rooms without httpd, from the top, without endings.
sub low_files {
    my ($level, $httpd) = rooms();
    return ('lineproto', map { s/\.c$//r } map { glob "$_/*.c" }
        grep { !$httpd->{$_} } sort keys %$level);
}

sub influxd { return ImxTest::Influx->new(@_) }
sub influxd2 { return ImxTest::Influx2->new(@_) }

# InfluxDB 2's server and '', or undef and why it is not there.  `make test`
# has built it, or tried to, and left the outcome; else it is built now.  One
# failure is enough for all tests of an hour.
sub influxd2_program {
    my $file = build() . '/influxd2.txt';
    if (!-s $file || (slurp($file) !~ m{^/} && time - (stat $file)[9] > 3600)) {
        make_path(build());
        system "sh $top/tools/build-influxd.sh >$file </dev/null";
    }
    my ($said) = split /\n/, slurp($file);
    return ($said, '') if defined $said && -x $said;
    return (undef, $said // 'tools/build-influxd.sh said nothing');
}
sub victoria { return ImxTest::Victoria->new(@_) }
sub httpd { return ImxTest::Httpd->new(@_) }
sub client { return ImxTest::Client->new(@_) }

# ---------------------------------------------------------------------------
# A process of ours: started by fork and exec, in a session of its own (httpd's
# prefork signals its process group), ended by its pid.
package ImxTest::Process;
use POSIX qw(:sys_wait_h);

my $serial = 0;

sub _init {
    my ($class, $name, %o) = @_;
    my $dir = ImxTest::work_dir() . "/$name" . ++$serial;
    mkdir $dir, 0755 or die "$dir: $!";
    my $self = bless { %o, dir => $dir, port => ImxTest::free_port() }, $class;
    push @running, $self;
    return $self;
}

sub dir { $_[0]{dir} }
sub pid { $_[0]{pid} }
sub url { "http://127.0.0.1:$_[0]{port}" . ($_[1] // '') }
sub port { $_[0]{port} }

sub _spawn {
    my ($self, $out, $env, @cmd) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        POSIX::setsid();
        # What this process was started with is not the server's: it would see
        # files here that it has nowhere else.
        POSIX::close($_) for grep { $_ > 2 } map { m{(\d+)$} }
            glob '/proc/self/fd/*';
        @ENV{keys %$env} = values %$env;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $out;
        open STDERR, '>&', \*STDOUT;
        exec { $cmd[0] } @cmd or POSIX::_exit(127);
    }
    delete $self->{status};
    return $self->{pid} = $pid;
}

sub alive {
    my ($self) = @_;
    return 0 if !$self->{pid};
    return 1 if waitpid($self->{pid}, WNOHANG) == 0;
    $self->{status} = $?;
    $self->{pid} = undef;
    return 0;
}

sub _signal {
    my ($self, $signal) = @_;
    return $self->alive && kill $signal => $self->{pid};
}

# True if it ended by itself within the limit, else it is killed.
sub _stop {
    my ($self, $signal, $seconds) = @_;
    $self->_signal($signal) or return 1;
    return 1 if ImxTest::wait_until($seconds, sub { !$self->alive });
    $self->_end;
    return 0;
}

sub stop { $_[0]->_stop('TERM', 20) }
sub kill { $_[0]->_stop('KILL', 10) }
sub pause { $_[0]->_signal('STOP') }
sub resume { $_[0]->_signal('CONT') }
sub restart { $_[0]->stop; $_[0]->start }

sub _end {
    my ($self) = @_;
    $self->_signal('KILL') or return;
    ImxTest::wait_until(10, sub { !$self->alive });
}

sub _wait_ready {
    my ($self, $ready, $log) = @_;
    my $up = ImxTest::wait_until(30, sub { !$self->alive || $ready->() });
    return $self if $up && $self->alive;
    die ref($self) . " did not start:\n" . ImxTest::slurp($log);
}

# ---------------------------------------------------------------------------
package ImxTest::Influx;
our @ISA = ('ImxTest::Process');

sub new {
    my ($class, %o) = @_;
    my $self = $class->_init('influxd', %o);
    my ($dir, $rpc) = ($self->{dir}, ImxTest::free_port());
    my $auth = $o{auth} ? 'true' : 'false';
    my $socket = $o{socket} ? 'true' : 'false';
    my $body = $o{max_body} // 25_000_000;
    ImxTest::spew("$dir/influxd.conf", <<"TOML");
reporting-disabled = true
bind-address = "127.0.0.1:$rpc"
[meta]
  dir = "$dir/meta"
  logging-enabled = false
[data]
  dir = "$dir/data"
  wal-dir = "$dir/wal"
  query-log-enabled = false
  max-series-per-database = 0
  max-values-per-tag = 0
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:$self->{port}"
  log-enabled = false
  auth-enabled = $auth
  max-body-size = $body
  unix-socket-enabled = $socket
  bind-socket = "$dir/influxd.sock"
[logging]
  level = "warn"
[subscriber]
  enabled = false
[continuous_queries]
  enabled = false
TOML
    $self->start unless exists $o{start} && !$o{start};
    return $self;
}

sub start {
    my ($self) = @_;
    my $program = ImxTest::which_one('influxd') or die 'no influxd';
    my $log = "$self->{dir}/influxd.log";
    $self->_spawn($log, {}, $program, 'run', '-config',
        "$self->{dir}/influxd.conf");
    $self->_wait_ready(sub { ImxTest::get($self->url('/ping'))->{success} },
        $log);
    chmod 0777, $self->socket if $self->{socket};   # for httpd's children
    if ($self->{auth} && !$self->{admin}) {
        $self->query(qq{CREATE USER "admin" WITH PASSWORD 'secret' }
            . 'WITH ALL PRIVILEGES');
        $self->{admin} = 1;
    }
    return $self;
}

sub socket { "$_[0]{dir}/influxd.sock" }

# Rows of all series of all statements; tags of GROUP BY are columns too, the
# series' name is the column _name.
sub query {
    my ($self, $q, $db) = @_;
    utf8::decode($q);           # HTTP::Tiny wants characters
    my %form = (q => $q, db => $db // 'httpd', epoch => 'ns');
    my $r = $self->_post_query(\%form);
    die "influxd: $r->{status} $r->{content}\n" if !$r->{success};
    my @rows;
    for my $result (@{ JSON::PP::decode_json($r->{content})->{results} }) {
        die "influxd: $result->{error}: $q\n" if defined $result->{error};
        for my $s (@{ $result->{series} // [] }) {
            for my $v (@{ $s->{values} // [] }) {
                my %row = (%{ $s->{tags} // {} }, _name => $s->{name} // '');
                @row{@{ $s->{columns} }} = @$v;
                push @rows, \%row;
            }
        }
    }
    return @rows;
}

sub _post_query {
    my ($self, $form) = @_;
    my $who = $self->{admin} ? '?u=admin&p=secret' : '';
    return HTTP::Tiny->new(timeout => 60)->post_form(
        $self->url("/query$who"), $form);
}

# Counts points by a field each of them has; 0 without the database too.
sub count {
    my ($self, $measurement, $db, $field) = @_;
    my $name = ($measurement // 'raw-requests') =~ s/(["\\])/\\$1/gr;
    $field //= 'bytes_sent';
    my @rows = eval {
        $self->query(qq{SELECT count("$field") AS n FROM "$name"}, $db);
    };
    die $@ if $@ && $@ !~ /database not found|no dbrp mapping/;
    return @rows ? $rows[0]{n} : 0;
}

# ---------------------------------------------------------------------------
# InfluxDB 2: a bucket is a database to InfluxQL.
package ImxTest::Influx2;
our @ISA = ('ImxTest::Influx');

sub new {
    my ($class, %o) = @_;
    my $self = $class->_init('influxd2', org => 'my org', bucket => 'httpd',
        token => 'first-token-' . int(rand 1e9) . '==', %o);
    $self->start unless exists $o{start} && !$o{start};
    return $self;
}

sub token { $_[0]{token} }

sub start {
    my ($self) = @_;
    my ($program, $why) = ImxTest::influxd2_program();
    my ($dir, $log) = ($self->{dir}, "$self->{dir}/influxd.log");
    $self->_spawn($log, { HOME => $dir }, $program // die($why), 'run',
        '--http-bind-address', "127.0.0.1:$self->{port}", '--bolt-path',
        "$dir/bolt", '--sqlite-path', "$dir/sqlite", '--engine-path',
        "$dir/engine", '--reporting-disabled', '--log-level', 'warn',
        map({ ($_->[0], $self->{tls}[$_->[1]]) }
            $self->{tls} ? (['--tls-cert', 0], ['--tls-key', 1]) : ()));
    $self->_wait_ready(sub { $self->_call('GET', '/health')->{success} },
        $log);
    if (!$self->{set_up}++) {
        $self->api('POST', 'setup', { username => 'admin',
            password => 'password1', org => $self->{org},
            bucket => $self->{bucket}, token => $self->{token} });
    }
    return $self;
}

sub url {
    my ($self, $path) = @_;
    my $url = $self->SUPER::url($path);
    $url =~ s/^http:/https:/ if $self->{tls};
    return $url;
}

# With the token.  What it is over https curl does: HTTP::Tiny has no TLS
# without modules that are not core.
sub _call {
    my ($self, $method, $path, $content) = @_;
    my $authorization = "Token $self->{token}";
    return ImxTest::http($method, $self->url($path), {
        headers => { Authorization => $authorization },
        (defined $content ? (content => $content) : ()),
    }) if !$self->{tls};
    my $file = ImxTest::spew("$self->{dir}/content", $content // '');
    open my $curl, '-|', 'curl', '-s', '--cacert', $self->{ca}, '-X', $method,
        '-H', "Authorization: $authorization", '-w', '\n%{http_code}',
        ($content ? ('--data-binary', "\@$file") : ()), $self->url($path)
        or die "curl: $!";
    my ($text, $status) = do { local $/; <$curl> } =~ /^(.*)\n(\d+)$/s;
    close $curl;
    return { success => scalar($status =~ /^2/), status => $status,
        content => $text };
}

# A call of its API as the administrator; what it answers, decoded.
sub api {
    my ($self, $method, $path, $content) = @_;
    my $r = $self->_call($method, "/api/v2/$path",
        $content ? JSON::PP::encode_json($content) : undef);
    die "influxd 2: $path: $r->{status} $r->{content}\n" if !$r->{success};
    return length $r->{content} ? JSON::PP::decode_json($r->{content}) : {};
}

sub _org_id {
    my ($self) = @_;
    return $self->api('GET', 'orgs')->{orgs}[0]{id};
}

sub make_bucket {
    my ($self, $name) = @_;
    return $self->api('POST', 'buckets', { orgID => $self->_org_id,
        name => $name })->{id};
}

# A token that may write all buckets, and nothing else.
sub make_token {
    my ($self) = @_;
    my $id = $self->_org_id;
    return $self->api('POST', 'authorizations', { orgID => $id,
        permissions => [{ action => 'write', resource => { type => 'buckets',
            orgID => $id } }] });
}

sub _post_query {
    my ($self, $form) = @_;
    my $query = HTTP::Tiny->new->www_form_urlencode($form);
    return $self->_call('GET', "/query?$query");
}

# ---------------------------------------------------------------------------
# VictoriaMetrics: takes /write and /api/v2/write; a field F of measurement M
# is the metric M_F.  Time there is milliseconds.
package ImxTest::Victoria;
our @ISA = ('ImxTest::Process');

sub new {
    my ($class, %o) = @_;
    my $self = $class->_init('victoria', %o);
    $self->start unless exists $o{start} && !$o{start};
    return $self;
}

sub start {
    my ($self) = @_;
    my $program = ImxTest::which_one('victoria-metrics')
        or die 'no victoria-metrics';
    my $log = "$self->{dir}/victoria.log";
    $self->_spawn($log, {}, $program, '-loggerLevel=ERROR',
        "-httpListenAddr=127.0.0.1:$self->{port}",
        "-storageDataPath=$self->{dir}/data", '-memory.allowedBytes=100MB',
        '-retentionPeriod=10y');
    return $self->_wait_ready(
        sub { ImxTest::get($self->url('/health'))->{success} }, $log);
}

# Every stored sample of a metric: { labels, value, time (ms) }.
sub samples {
    my ($self, $metric) = @_;
    ImxTest::get($self->url('/internal/force_flush'));
    my $selector = $metric =~ /^\{/ ? $metric : qq({__name__="$metric"});
    my $r = HTTP::Tiny->new(timeout => 60)->post_form(
        $self->url('/api/v1/export'), { 'match[]' => $selector });
    die "victoria-metrics: $r->{status} $r->{content}" if !$r->{success};
    my @samples;
    for my $line (split /\n/, $r->{content}) {
        my $series = JSON::PP::decode_json($line);
        push @samples, map { {
            labels => $series->{metric},
            value => $series->{values}[$_],
            time => $series->{timestamps}[$_],
        } } 0 .. $#{ $series->{values} };
    }
    return @samples;
}

# ---------------------------------------------------------------------------
package ImxTest::Httpd;
use File::Basename qw(dirname);
use IO::Socket::INET;
our @ISA = ('ImxTest::Process');

my %place;

# Where httpd, its modules and mime.types are on this machine.
sub _place {
    return \%place if %place;
    my $apxs = ImxTest::which_one($ENV{IMX_APXS} || (), 'apxs', 'apxs2');
    my %q;
    if ($apxs) {
        chomp($q{$_} = `$apxs -q $_ 2>/dev/null`)
            for qw(SBINDIR PROGNAME LIBEXECDIR SYSCONFDIR);
    }
    $place{program} = ImxTest::which_one($ENV{IMX_HTTPD} || (),
        ($apxs ? "$q{SBINDIR}/$q{PROGNAME}" : ()), 'apache2', 'httpd')
        or die 'httpd is not installed';
    ($place{modules}) = grep { defined && -d } $q{LIBEXECDIR},
        '/usr/lib/apache2/modules', '/usr/lib64/httpd/modules',
        '/usr/lib/httpd/modules', '/usr/local/apache2/modules';
    die 'no directory of httpd modules' if !defined $place{modules};
    ($place{mime}) = grep { defined && -f } '/etc/mime.types',
        ($q{SYSCONFDIR} ? "$q{SYSCONFDIR}/mime.types" : ());
    $place{mime} //= '/dev/null';
    $place{static} = { map { /^\s+(?:mod_)?(\w+)\.c/ ? ($1 => 1) : () }
        `$place{program} -l` };
    my @users = ('www-data', 'apache', 'http', 'daemon', 'nobody');
    my ($user) = grep { defined getpwnam $_ } @users;
    $place{user} = $user;
    $place{group} = getgrgid((getpwnam $user)[3]);
    return \%place;
}

sub new {
    my ($class, %o) = @_;
    my %vhosts = @{ $o{vhosts} // [] };
    my $self = $class->_init('httpd', mpm => 'event', module => 0,
        modules => [], children => 2, threads => 16, %o);
    my $dir = $self->{dir};
    $self->{vhost_port} = { map { $_ => ImxTest::free_port() }
        sort keys %vhosts, $o{figures} ? 'figures' : () };
    mkdir "$dir/$_" for qw(run htdocs sanitizer);
    chmod 0777, "$dir/sanitizer";   # written by the children
    $self->put('htdocs/index.html', "hello world\n");
    $self->reconf;
    $self->start unless exists $o{start} && !$o{start};
    return $self;
}

sub docroot { "$_[0]{dir}/htdocs" }

sub port {
    my ($self, $vhost) = @_;
    return $self->{port} if !defined $vhost;
    return $self->{vhost_port}{$vhost} // die "no virtual host $vhost";
}

sub url {
    my ($self, $path, $vhost) = @_;
    return 'http://127.0.0.1:' . $self->port($vhost) . ($path // '/');
}

sub put {
    my ($self, $name, $text, $mode) = @_;
    return ImxTest::spew("$self->{dir}/$name", $text, $mode);
}

# A file that only the server's user can read.
sub secret {
    my ($self, $name, $text) = @_;
    my $path = $self->put($name, $text, 0600);
    chown scalar getpwnam(_place()->{user}), -1, $path if !$>;
    return $path;
}

sub reconf {
    my ($self, %o) = @_;
    @$self{keys %o} = values %o;
    $self->put('httpd.conf', $self->_conf);
    return $self;
}

sub _text {
    my ($self, $conf) = @_;
    return ref $conf ? $conf->($self) : $conf // '';
}

sub _load_modules {
    my ($self) = @_;
    my $p = _place();
    my %seen;
    my $text = '';
    for my $name ("mpm_$self->{mpm}", qw(unixd log_config authz_core mime dir),
        @{ $self->{modules} }) {
        next if $p->{static}{$name} || $seen{$name}++;
        my $file = "$p->{modules}/mod_$name.so";
        die "httpd module $name is not installed" if !-e $file;
        $text .= "LoadModule ${name}_module $file\n";
    }
    my $module = $self->{module} // 0;
    $module = ImxTest::build() . '/mod_influx_metrics.so' if $module eq '1';
    $text .= "LoadModule influx_metrics_module $module\n" if $module;
    return $text;
}

# A constant number of children: one that ends is replaced at once.  Beside
# them there is room for those of an older generation.
sub _mpm_conf {
    my ($self) = @_;
    my ($n, $t) = @$self{qw(children threads)};
    my ($workers, $more) = ($n * $t, $n * $t + $t);
    return $self->{mpm} eq 'prefork' ? <<"PREFORK" : <<"THREADED";
StartServers $n
MinSpareServers $n
MaxSpareServers @{[$n + 1]}
ServerLimit 256
MaxRequestWorkers $n
PREFORK
StartServers $n
ServerLimit 32
ThreadsPerChild $t
MinSpareThreads $workers
MaxSpareThreads $more
MaxRequestWorkers $workers
THREADED
}

sub _conf {
    my ($self) = @_;
    my $dir = $self->{dir};
    my $p = _place();
    my $user = $> ? '' : "User $p->{user}\nGroup $p->{group}\n";
    my $conf = $self->_load_modules . <<"CONF" . $user . $self->_mpm_conf;
ServerRoot $dir
ServerName imx.test
Listen 127.0.0.1:$self->{port}
PidFile $dir/run/httpd.pid
DefaultRuntimeDir $dir/run
Mutex file:$dir/run default
<IfModule mod_wsgi.c>
WSGISocketPrefix $dir/run/wsgi
</IfModule>
Timeout 10
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 5
TypesConfig $p->{mime}
LogLevel warn
ErrorLog $dir/error.log
LogFormat "%v\\t%<m\\t%>s\\t%B\\t%{us}T\\t%P\\t%U" imx
CustomLog $dir/access.log imx
DocumentRoot $dir/htdocs
<Directory $dir>
Require all granted
</Directory>
CONF
    my $db = $self->{influx};
    # InfluxDB may be slow at a stop while other tests write to the same disk;
    # 3 s would make a warning.
    $conf .= "InfluxMetrics On\nInfluxMetricsShutdownTimeout 2900ms\n"
        . 'InfluxMetricsServer ' . (ref $db ? $db->url : $db) . "\n"
        if defined $db && $self->{module};
    $conf .= $self->_text($self->{conf}) . "\n";
    $conf .= <<"FIGURES" if $self->{figures} && $self->{module};
Listen 127.0.0.1:@{[ $self->port('figures') ]}
<VirtualHost 127.0.0.1:@{[ $self->port('figures') ]}>
CustomLog /dev/null imx
SetHandler influx-metrics
InfluxMetrics Off
</VirtualHost>
FIGURES
    my @vhosts = @{ $self->{vhosts} // [] };
    while (my ($name, $text) = splice @vhosts, 0, 2) {
        my $port = $self->port($name);
        $conf .= "Listen 127.0.0.1:$port\n<VirtualHost 127.0.0.1:$port>\n"
            . qq{ServerName "$name"\n} . $self->_text($text)
            . "\n</VirtualHost>\n";
    }
    return $conf;
}

sub _env {
    my ($self) = @_;
    return {} if !$ENV{IMX_PRELOAD};
    my $log = "$self->{dir}/sanitizer/report";
    return {
        LD_PRELOAD => $ENV{IMX_PRELOAD},
        ASAN_OPTIONS => "detect_leaks=0:verify_asan_link_order=0:log_path=$log",
        UBSAN_OPTIONS => "print_stacktrace=1:log_path=$log",
        TSAN_OPTIONS => "log_path=$log",
    };
}

sub _command {
    my ($self, @flags) = @_;
    return (_place()->{program}, '-d', $self->{dir}, '-f',
        "$self->{dir}/httpd.conf", @flags);
}

# httpd -t: true if the configuration is right, and all that was said.
sub configtest {
    my ($self, @flags) = @_;
    local %ENV = (%ENV, %{ $self->_env });
    my $pid = open(my $p, '-|') // die "fork: $!";
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec $self->_command('-t', @flags) or POSIX::_exit(127);
    }
    my $text = do { local $/; <$p> } // '';
    my $ok = close $p;
    $self->put('configtest.log',
        ImxTest::slurp("$self->{dir}/configtest.log") . $text)
        if $ENV{IMX_PRELOAD};
    return ($ok ? 1 : 0, $text);
}

sub _answers {
    my ($self) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->{port}, Timeout => 5) ? 1 : 0;
}

sub _generations {
    my ($self) = @_;
    return scalar grep { /resuming normal operations/ } $self->error_log;
}

# Extra flags are httpd's: start('-X') is one process, one generation, and
# tells nothing when it begins.
sub start {
    my ($self, @flags) = @_;
    my $before = $self->_generations;
    my $out = "$self->{dir}/stdout.log";
    $self->_spawn($out, $self->_env,
        $self->_command(@flags ? @flags : '-DFOREGROUND'));
    my $ready = eval {
        $self->_wait_ready(sub {
            (@flags || $self->_generations > $before) && $self->_answers
        }, $out);
    };
    die $@ . join '', map { "$_\n" } $self->error_log if !$ready;
    return $self;
}

# graceful(gone => 1) also waits until the old children are gone: until then
# one of them can still take a connection.
sub graceful {
    my ($self, %o) = @_;
    my %old = map { $_ => 1 } $self->children;
    $self->_new_generation('USR1');
    return $self if !$o{gone};
    ImxTest::wait_until(30, sub { !grep { $old{$_} } $self->children })
        or die 'old children do not end after a graceful restart';
    return $self;
}

sub restart { $_[0]->_new_generation('HUP') }
sub graceful_stop { $_[0]->_stop('WINCH', 30) }

# As Debian's unit has it: apachectl graceful-stop, TERM as soon as that is
# back, and no child outlives the parent (KillMode=mixed).
sub systemd_stop {
    my ($self) = @_;
    my @children = $self->children;
    $self->_signal('WINCH');
    my $ok = $self->stop;
    $self->_kill_ours(@children);
    return $ok;
}

# Those among the pids that are still children of this httpd.
sub _kill_ours {
    my ($self, @pids) = @_;
    CORE::kill KILL => grep {
        ImxTest::slurp("/proc/$_/cmdline") =~ /\Q$self->{dir}\E/
    } @pids;
}

# The signal, and the wait until the new generation has begun.
sub _new_generation {
    my ($self, $signal) = @_;
    my $before = $self->_generations;
    $self->_signal($signal) or die 'httpd is not running';
    ImxTest::wait_until(30, sub {
        $self->_generations > $before || !$self->alive
    });
    die "httpd ended at a restart:\n" . join "\n", $self->error_log
        if !$self->alive;
    return $self;
}

# Pids of the children; daemons of mod_cgid and mod_wsgi are among them.
sub children {
    my ($self) = @_;
    return () if !$self->alive;
    my $list = ImxTest::slurp("/proc/$self->{pid}/task/$self->{pid}/children");
    return sort { $a <=> $b } split ' ', $list;
}

sub kill_child {
    my ($self, $pid) = @_;
    return 0 if !grep { $_ == $pid } $self->children;
    return CORE::kill KILL => $pid;
}

sub access_log {
    my ($self) = @_;
    my @names = qw(server method status bytes us pid path);
    return map {
        my %row = (line => $_);
        @row{@names} = split /\t/;
        \%row;
    } split /\n/, ImxTest::slurp("$self->{dir}/access.log");
}

# Without the status page, which is not recorded.
sub access_count {
    return ImxTest::slurp("$_[0]{dir}/access.log") =~ tr/\n//;
}

sub error_log { split /\n/, ImxTest::slurp("$_[0]{dir}/error.log") }

# Not counting that so small a server has all its workers busy.
sub complaints {
    return grep { !/\[[\w-]*:(?:notice|info|debug|trace\d)\]/
        && !/MaxRequestWorkers/ } $_[0]->error_log;
}

# If the parent is killed its children see that only when they next wake: END
# ends them by their pids, too.
sub _end {
    my ($self) = @_;
    my @children = $self->children;
    $self->_stop('TERM', 5) if $self->alive && !$self->{ending}++;
    $self->SUPER::_end;
    $self->_kill_ours(@children);
}

# ---------------------------------------------------------------------------
# An exact load: c processes with one connection each.  A request whose answer
# did not come whole is counted as broken and not repeated; a connection that
# could not be made is tried again, as nothing was asked.
package ImxTest::Client;
use Time::HiRes qw(time);
our @ISA = ('ImxTest::Process');

sub new {
    my ($class, %o) = @_;
    my $self = bless { c => 4, path => '/', host => 'imx.test',
        timeout => 20, %o }, $class;
    my $begin = time;
    for my $i (0 .. $self->{c} - 1) {
        my $pid = open(my $pipe, '-|') // die "fork: $!";
        if ($pid == 0) {
            $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
            my %r = $self->_run($i, $begin);
            syswrite STDOUT, join(' ', @r{qw(sent complete broken)}) . "\n";
            POSIX::_exit(0);
        }
        push @{ $self->{workers} }, { pid => $pid, pipe => $pipe };
    }
    push @running, $self;
    return $self;
}

sub wait {
    my ($self) = @_;
    my %sum = (sent => 0, complete => 0, broken => 0);
    for my $w (splice @{ $self->{workers} }) {
        my ($sent, $complete, $broken) = split ' ', readline($w->{pipe}) // '';
        die 'a load client died' if !defined $broken;
        $sum{sent} += $sent;
        $sum{complete} += $complete;
        $sum{broken} += $broken;
        close $w->{pipe};
    }
    return \%sum;
}

sub _end {
    CORE::kill KILL => map { $_->{pid} } @{ $_[0]{workers} };
}

sub _run {
    my ($self, $i, $begin) = @_;
    my %r = (sent => 0, complete => 0, broken => 0);
    my $mine = defined $self->{n}
        ? int(($self->{n} + $self->{c} - 1 - $i) / $self->{c}) : undef;
    my $request = "GET $self->{path} HTTP/1.1\r\nHost: $self->{host}\r\n"
        . ($self->{close} ? "Connection: close\r\n" : '') . "\r\n";
    my ($s, $due) = (undef, time);
    while (defined $mine ? $r{sent} < $mine
                         : time - $begin < $self->{seconds}) {
        _pace($self, \$due) if $self->{rate};
        $s //= $self->_connect or last;
        $r{sent}++;
        my $kept = ImxTest::_write($s, $request) ? _answer($s) : undef;
        $r{defined $kept ? 'complete' : 'broken'}++;
        undef $s if !$kept;
    }
    return %r;
}

# What was missed by more than a second is not made up for.
sub _pace {
    my ($self, $due) = @_;
    my $now = time;
    $$due += 1 / $self->{rate};
    $$due = $now - 1 if $$due < $now - 1;
    select undef, undef, undef, $$due - $now if $$due > $now;
}

sub _connect {
    my ($self) = @_;
    my $s;
    ImxTest::wait_until(20, sub {
        $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $self->{port}, Timeout => 5);
    });
    setsockopt $s, ImxTest::SOL_SOCKET, ImxTest::SO_RCVTIMEO,
        pack('l!l!', $self->{timeout} * ImxTest::slow(), 0) if $s;
    return $s;
}

# One answer: undef if it is not whole, else whether the connection goes on.
sub _answer {
    my ($s) = @_;
    my $got = '';
    my $head;
    while (($head = index $got, "\r\n\r\n") < 0) {
        sysread($s, $got, 65536, length $got) or return;
    }
    my $fields = substr $got, 0, $head;
    my $close = $fields =~ /^Connection:\s*close/mi;
    my ($length) = $fields =~ /^Content-Length:\s*(\d+)/mi;
    return if !defined $length;
    while (length($got) < $head + 4 + $length) {
        sysread($s, $got, 65536, length $got) or return;
    }
    return $close ? 0 : 1;
}

# ---------------------------------------------------------------------------
# A process that looks at the status page all the time, until it is told to end
# or its parent ends.  Looks that nobody answers do not count.
package ImxTest::Watch;
our @ISA = ('ImxTest::Process');

sub new {
    my ($class, $h, %o) = @_;
    my $self = bless { pause => 0.02, %o }, $class;
    my $pid = open($self->{pipe}, '-|') // die "fork: $!";
    if ($pid == 0) {
        my $told;
        $SIG{TERM} = sub { $told = 1 };
        $SIG{$_} = 'DEFAULT' for qw(INT HUP);
        syswrite STDOUT, $self->_look($h, sub { $told || getppid != $owner });
        POSIX::_exit(0);
    }
    $self->{pid} = $pid;
    push @running, $self;
    return $self;
}

sub _look {
    my ($self, $h, $told) = @_;
    my ($looks, $before, %faults) = (0);
    until ($told->()) {
        select undef, undef, undef, $self->{pause};
        my $s = ImxTest::status($h) or next;
        $looks++;
        $faults{$_} //= $looks for ImxTest::_faults($s, $before);
        $before = $s;
    }
    return join "\n", $looks, map { "look $faults{$_}: $_" }
        sort { $faults{$a} <=> $faults{$b} } keys %faults;
}

# Returns how many times it has looked.
sub ok {
    my ($self, $name) = @_;
    CORE::kill TERM => $self->{pid};
    my ($looks, @faults) = split /\n/, do { local $/; readline $self->{pipe} };
    close $self->{pipe};
    $self->{pid} = undef;
    $#faults = 9 if @faults > 10;
    Test::More::is_deeply(\@faults, [],
        "$name: the account added up in each of $looks looks");
    return $looks;
}

1;

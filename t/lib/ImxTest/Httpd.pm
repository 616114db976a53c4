package ImxTest::Httpd;
#
# httpd: its configuration, its life, its logs.
#
use strict;
use warnings;
use IO::Socket::INET;
use POSIX ();
use ImxTest::Files;
use ImxTest::Wait;
use ImxTest::Process;
our @ISA = ('ImxTest::Process');

my %place;

# Where httpd, its modules and mime.types are on this machine.
sub _place {
    return \%place if %place;
    my $apxs = which_one($ENV{IMX_APXS} || (), 'apxs', 'apxs2');
    my %q;
    if ($apxs) {
        chomp($q{$_} = `$apxs -q $_ 2>/dev/null`)
            for qw(SBINDIR PROGNAME LIBEXECDIR SYSCONFDIR);
    }
    $place{program} = which_one($ENV{IMX_HTTPD} || (),
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
    $self->{vhost_port} = { map { $_ => free_port() }
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
    return spew("$self->{dir}/$name", $text, $mode);
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
    $module = build() . '/mod_influx_metrics.so' if $module eq '1';
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
    # Points are counted: those of intervals only where they are asked for.
    $conf .= 'InfluxMetricsReport ' . ($self->{report} // 'none') . "\n"
        if $self->{module};
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
        TSAN_OPTIONS => "log_path=$log:" . ($ENV{IMX_TSAN_OPTIONS} // ''),
    };
}

sub _command {
    my ($self, @flags) = @_;
    return (@{ $self->{through} // [] }, _place()->{program}, '-d',
        $self->{dir}, '-f',
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
        slurp("$self->{dir}/configtest.log") . $text)
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
    wait_until(30, sub { !grep { $old{$_} } $self->children })
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
        slurp("/proc/$_/cmdline") =~ /\Q$self->{dir}\E/
    } @pids;
}

# The signal, and the wait until the new generation has begun.
sub _new_generation {
    my ($self, $signal) = @_;
    my $before = $self->_generations;
    $self->_signal($signal) or die 'httpd is not running';
    wait_until(30, sub {
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
    my $list = slurp("/proc/$self->{pid}/task/$self->{pid}/children");
    return sort { $a <=> $b } split ' ', $list;
}

# Until there are as many as it is to have.
sub wait_children {
    my ($self, $limit) = @_;
    return wait_until($limit, sub {
        (my @there = $self->children) >= $self->{children} })
        || die "children are missing\n";
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
    } split /\n/, slurp("$self->{dir}/access.log");
}

# Without the status page, which is not recorded.
sub access_count {
    return slurp("$_[0]{dir}/access.log") =~ tr/\n//;
}

sub error_log { split /\n/, slurp("$_[0]{dir}/error.log") }

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

1;

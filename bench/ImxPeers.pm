# ImxPeers.pm: the programs that bench/peers.pl compares with, each set up as its
# own documentation says, with what it costs beside the server: helpers.  Each
# ends with the benchmark.
#
#   my $p = ImxPeers::telegraf($log, $influxd, 'database');  # ->pid
#   my $n = ImxPeers::nginx('server { ... }', module => '...so');   # ->port
#   my $s = ImxPeers::scraper($url);    # asks each second, as Prometheus does
#   $s->answer;                         # the last one
package ImxPeers;

use strict;
use warnings;
use FindBin;
use IO::Socket::INET;
use POSIX ();
use ImxTest;

# What a script of tools/ says: its path, or why there is none.
sub built {
    my ($script, @arguments) = @_;
    my $pid = open my $out, '-|', 'sh', "$FindBin::Bin/../tools/$script",
        @arguments or die "$script: $!\n";
    my $path = <$out> // '';
    close $out;
    chomp $path;
    return $? ? (undef, $path) : ($path, undef);
}

# ---- any program ----

package ImxPeers::Program {
    our @ISA = ('ImxTest::Process');

    sub new {
        my ($class, $name, $ready, $command, %files) = @_;
        my $self = $class->_init($name);
        chmod 0755, $self->dir;
        my @command = $command->($self);
        $self->_spawn($self->dir . '/log', {}, @command);
        return $self->_wait_ready(sub { $ready->($self) }, $self->dir . '/log');
    }

    # Of those that work in processes of their own, too.
    sub pids {
        my ($self) = @_;
        return ($self->pid, split ' ', ImxTest::slurp('/proc/'
            . "@{[ $self->pid ]}/task/@{[ $self->pid ]}/children"));
    }
}

# Its workers outlive a master that is killed.
package ImxPeers::Nginx {
    our @ISA = ('ImxPeers::Program');

    sub _end {
        my ($self) = @_;
        $self->_signal('TERM') or return;
        ImxTest::wait_until(10, sub { !$self->alive }) or $self->SUPER::_end;
    }
}

package ImxPeers;

sub listens {
    my ($self) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->port, Timeout => 5) ? 1 : 0;
}

# Telegraf's defaults, as `telegraf config` prints them.
sub telegraf {
    my ($program, $log, $db, $database) = @_;
    return ImxPeers::Program->new('telegraf', sub { slurp($_[0]->dir . '/log')
        =~ /Loaded outputs/ }, sub {
        my ($self) = @_;
        return ($program, '--config', spew($self->dir . '/telegraf.conf', <<"END"));
[agent]
  interval = "10s"
  round_interval = true
  metric_batch_size = 1000
  metric_buffer_limit = 10000
  flush_interval = "10s"
[[outputs.influxdb]]
  urls = ["@{[ $db->url ]}"]
  database = "$database"
[[inputs.tail]]
  files = ["$log"]
  data_format = "grok"
  grok_patterns = ["%{COMBINED_LOG_FORMAT}"]
END
    });
}

sub apache_exporter {
    my ($url) = @_;
    my $program = which_one('prometheus-apache-exporter') or return;
    return ImxPeers::Program->new('exporter', \&listens, sub {
        return ($program, "--scrape_uri=$url",
            '--telemetry.address=127.0.0.1:' . $_[0]->port);
    });
}

sub telemetry {
    my ($program, $socket) = @_;
    return ImxPeers::Program->new('telemetry', \&listens, sub {
        return ($program, 'serve', '--listen', "unix:$socket", '--socket-mode',
            '0666', '--http-port', $_[0]->port);
    });
}

# Debian's configuration in what matters, with a worker a processor.
sub nginx {
    my ($root, $module, $http, $server) = @_;
    return ImxPeers::Nginx->new('nginx', \&listens, sub {
        my ($self) = @_;
        my $dir = $self->dir;
        spew("$dir/htdocs/index.html", "hello world\n");
        mkdir "$dir/tmp";
        my $load = $module ? "load_module $root/modules/$module;\n" : '';
        my $user = $> ? '' : 'user ' . ImxTest::Httpd::_place()->{user} . ' '
            . ImxTest::Httpd::_place()->{group} . ";\n";
        my $temporary = join '', map { "    ${_}_temp_path $dir/tmp/$_;\n" }
            qw(client_body proxy fastcgi uwsgi scgi);
        return ("$root/usr/sbin/nginx", '-e', "$dir/error.log", '-c',
            spew("$dir/nginx.conf", <<"END"));
$load${user}worker_processes auto;
daemon off;
error_log $dir/error.log;
pid $dir/nginx.pid;
events { worker_connections 768; }
http {
$temporary    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    access_log off;
    $http
    server {
        listen 127.0.0.1:@{[ $self->port ]};
        root $dir/htdocs;
        $server
    }
}
END
    });
}

# InfluxDB with its port for UDP, as the module for nginx wants it.
sub influxd_udp {
    my ($database) = @_;
    my $db = influxd(start => 0);
    my $udp = free_port();
    my $file = $db->dir . '/influxd.conf';
    spew($file, slurp($file) . <<"END");
[[udp]]
  enabled = true
  bind-address = "127.0.0.1:$udp"
  database = "$database"
  batch-size = 5000
  batch-timeout = "1s"
END
    $db->start;
    $db->query("CREATE DATABASE $database");
    return ($db, $udp);
}

# ---- in the place of Prometheus ----

package ImxPeers::Scraper {
    our @ISA = ('ImxTest::Process');

    sub new {
        my ($class, $url) = @_;
        my $self = $class->_init('scraper');
        my $parent = $$;
        $self->{pid} = fork // die "fork: $!\n";
        return $self if $self->{pid};
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        while (getppid == $parent) {
            my $text = eval { ImxTest::get($url)->{content} } // '';
            ImxTest::spew($self->dir . '/new', $text);
            rename $self->dir . '/new', $self->dir . '/answer';
            select undef, undef, undef, 1;
        }
        POSIX::_exit(0);
    }

    sub answer { return ImxTest::slurp($_[0]->dir . '/answer') }
}

package ImxPeers;

sub scraper { return ImxPeers::Scraper->new(@_) }

1;

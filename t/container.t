# containers/, as far as it can be run without Docker: its httpd.conf and its
# entrypoint.sh, in a mount, process and network namespace of their own, as a user
# without any right, on a read-only file system.  Every request is a point, also
# those before SIGTERM and SIGWINCH, when the name of InfluxDB's host leads
# elsewhere, and when the secret changes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Socket qw(AF_INET SOCK_DGRAM);
use JSON::PP qw(decode_json);
use Test::More;

BEGIN {
    if (!$ENV{IMX_IN_NAMESPACE}) {
        plan skip_all => 'only root can make these namespaces' if $>;
        my $said = `unshare --mount --net --pid --fork true 2>&1`;
        plan skip_all => "namespaces are not allowed here: $said" if $?;
        plan skip_all => 'there is no setpriv' if !which_one('setpriv');
        plan skip_all => 'a sanitizer is preloaded' if $ENV{IMX_PRELOAD};
        plan skip_all => "httpd's modules are not where Debian has them"
            if !-e '/usr/lib/apache2/modules/mod_mpm_event.so';
        $ENV{IMX_IN_NAMESPACE} = 1;
        exec 'unshare', '--mount', '--net', $^X, (map { "-I$_" } @INC), $0
            or die "unshare: $!";
    }
}
delete $ENV{IMX_IN_NAMESPACE};

# The loopback device of the new network: SIOCSIFFLAGS, IFF_UP.
socket my $s, AF_INET, SOCK_DGRAM, 0 or die "socket: $!";
my $up = pack 'a16s', 'lo', 1;
ioctl $s, 0x8914, $up or die "lo: $!";
close $s;
system('mount', '--make-rprivate', '/') == 0 or die 'mount';

# A name server: this file, in the place of /etc/hosts.
my $hosts = work_dir() . '/hosts';
sub leads_to { spew($hosts, "127.0.0.1 localhost\n$_[0] influxdb\n") }
leads_to('127.0.0.2');
system('mount', '--bind', $hosts, '/etc/hosts') == 0 or die 'mount /etc/hosts';

# Two InfluxDBs, at other addresses and the same port.
package Elsewhere;
our @ISA = ('ImxTest::Influx');

sub url { return "http://$_[0]{at}:$_[0]{port}" . ($_[1] // '') }

sub begin {
    my ($class, $at, $port) = @_;
    my $self = $class->new(start => 0, at => $at, auth => 1);
    my $file = "$self->{dir}/influxd.conf";
    my $text = ImxTest::slurp($file);
    $text =~ s/"127\.0\.0\.1:$self->{port}"/"$at:@{[ $port \/\/ $self->{port} ]}"/;
    ImxTest::spew($file, $text);
    $self->{port} = $port if $port;
    $self->start;
    $self->query($_) for 'CREATE DATABASE httpd',
        q{CREATE USER "httpd" WITH PASSWORD 'first'}, 'GRANT WRITE ON httpd TO httpd';
    return $self;
}

package Container;
our @ISA = ('ImxTest::Process');

# Before the working directory is removed; httpd has its own view of them.
my @mounts;
END { system 'umount', '-l', @mounts if @mounts }

# The paths of the image are below a directory; nothing else is changed.
sub new {
    my ($class, %o) = @_;
    my $self = $class->_init('container', %o);
    my $root = $self->{root} = "$self->{dir}/root";
    File::Path::make_path(map { "$root$_" } qw(/etc/apache2 /srv/www /run/httpd
        /run/secrets /var/spool/influx-metrics));
    chmod 0755, $root;
    my ($user, $group) = (getpwnam 'www-data')[2, 3];
    @$self{qw(user group)} = ($user, $group);
    chown $user, $group, "$root/var/spool/influx-metrics";
    for my $name ('httpd.conf', 'entrypoint.sh') {
        my $text = ImxTest::slurp(ImxTest::top() . "/containers/$name");
        my $module = ImxTest::build() . '/mod_influx_metrics.so';
        $text =~ s{(?<!\w)(?=/etc/apache2|/srv/www|/run/|/var/spool)}{$root}g;
        $text =~ s{/usr/lib/apache2/modules/mod_influx_metrics.so}{$module};
        $text =~ s{^Listen 8080$}{Listen 127.0.0.1:$self->{port}}m;
        ImxTest::spew("$root/etc/apache2/" . ($name =~ /conf/
            ? 'container.conf' : $name), $text, 0755);
    }
    ImxTest::spew("$root/srv/www/index.html", "hello world\n");
    system("mount -t tmpfs -o mode=700,uid=$user,gid=$group none $root/run/httpd"
        . " && mount -t tmpfs -o mode=755 none $root/run/secrets"
        . " && cd $root/var/spool && mount --bind influx-metrics influx-metrics")
        == 0 or die 'tmpfs, or the volume';
    push @mounts, map { "$root$_" } qw(/run/httpd /run/secrets
        /var/spool/influx-metrics);
    return $self;
}

# As Kubernetes puts a secret: a name that leads to what a link leads to, and
# the link is changed.
sub secret {
    my ($self, $text) = @_;
    my $dir = "$self->{root}/run/secrets";
    my $version = '..' . ++$self->{version};
    mkdir "$dir/$version";
    ImxTest::spew("$dir/$version/influx-password", $text, 0400);
    chown $self->{user}, $self->{group}, "$dir/$version/influx-password";
    symlink $version, "$dir/..new" or die "symlink: $!";
    rename "$dir/..new", "$dir/..data" or die "rename: $!";
    symlink '..data/influx-password', "$dir/influx-password";
}

# All mounts but the two of tmpfs and the volume become read-only; then nothing can be written
# elsewhere, and no right is left.  File systems that the kernel does not let go
# (/proc, /sys) are not of interest.
sub start {
    my ($self, %env) = @_;
    my ($root, $user, $group) = @$self{qw(root user group)};
    ImxTest::spew("$self->{dir}/run.sh", <<"SH", 0755);
set -eu
cut -d' ' -f5 /proc/self/mountinfo | grep -v '^$root/' >$root/run/httpd/mounts
while read -r at; do
    mount -o remount,bind,ro "\$at" 2>/dev/null || true
done <$root/run/httpd/mounts
rm $root/run/httpd/mounts
if touch $root/srv/www/probe /tmp/imx-probe 2>/dev/null; then
    echo 'the file system can be written' >&2
    exit 99
fi
exec setpriv --reuid $user --regid $group --clear-groups --no-new-privs \\
    --bounding-set=-all --inh-caps=-all $root/etc/apache2/entrypoint.sh
SH
    $self->{$_} = "$self->{dir}/$_.log" for 'stdout', 'stderr';
    # Files where a container's runtime has pipes; these it gives to the user.
    for my $file (grep { !-e } @$self{'stdout', 'stderr'}) {
        ImxTest::spew($file, '', 0600);
    }
    chown $user, $group, @$self{'stdout', 'stderr'};
    my $begun = () = $self->log =~ /resuming normal/g;
    $self->_spawn($self->{stdout}, { %env, INFLUX_USER => 'httpd' }, 'sh', '-c',
        "exec unshare --mount --pid --fork --kill-child --mount-proc "
        . "sh $self->{dir}/run.sh 2>>$self->{stderr}");
    $self->_wait_ready(sub {
        $begun < (() = $self->log =~ /resuming normal/g)
            && ImxTest::get($self->url('/'))->{success}
    }, $self->{stderr});
    return $self;
}

sub log { return ImxTest::slurp($_[0]{stderr}) }

# The namespace's process 1, as it is called outside.
sub one {
    my ($self) = @_;
    return ImxTest::slurp("/proc/$self->{pid}/task/$self->{pid}/children")
        =~ /(\d+)/ ? $1 : die 'no process 1';
}

sub ends_by {
    my ($self, $signal) = @_;
    kill $signal => $self->one;
    ImxTest::wait_until(30, sub { !$self->alive }) or return 'not at all';
    return $self->{status};
}

package main;
require File::Path;

my $one = Elsewhere->begin('127.0.0.2');
my $two = Elsewhere->begin('127.0.0.3', $one->port);
my $c = Container->new;
my %env = (INFLUX_URL => 'http://influxdb:' . $one->port,
    SERVER_NAME => 'www.example.org', INFLUX_HOSTNAME => 'web-1');
my $sent = 0;

sub requests { $sent += $_[0]; load(url => $c->url('/'), n => $_[0], c => 2) }
sub stored { return eval { $_[0]->count('raw-requests') } // 0 }

sub begin { $c->start(%env, @_) }

# What the container has said of requests: those count that are to be points.
sub logged { return scalar(() = slurp($c->{stdout}) =~ m{"GET / HTTP}g) }

subtest 'what is missing' => sub {
    my $said = `$c->{root}/etc/apache2/entrypoint.sh 2>&1`;
    isnt($?, 0, 'without INFLUX_URL it does not begin');
    like($said, qr/INFLUX_URL: is missing/, 'and says so');
};

$c->secret('first');
subtest 'a request is a point' => sub {
    begin();
    requests(100);
    my $all = logged();
    ok(wait_until(20, sub { stored($one) == $all }), 'all are there')
        or diag stored($one), " of $all\n", $c->log;
    my ($row) = $one->query('SELECT * FROM "raw-requests" LIMIT 1');
    is($row->{hostname}, 'web-1', 'hostname');
    like($row->{process}, qr/^web-1:\d+$/, 'process');
    my ($status) = grep { /^(?:Uid|NoNewPrivs|CapEff|CapBnd)/ }
        join '', grep { /^(?:Uid|NoNewPrivs|CapEff|CapBnd)/ }
        split /^/, slurp('/proc/' . $c->one . '/status');
    like($status, qr/^Uid:\t$c->{user}\t.*CapEff:\t0+\n.*CapBnd:\t0+\nNoNewPrivs:\t1/s,
        'without any right') or diag $status;
    like(slurp("$c->{stderr}"), qr/IMX0017/, 'ErrorLog is there');
    unlike($c->log, qr/:(?:error|crit|alert|emerg|warn)\]|IMX0037|IMX0050/,
        'without a complaint') or diag $c->log;
};

subtest 'the name leads elsewhere' => sub {
    leads_to('127.0.0.3');
    $one->stop;
    my $before = logged();
    requests(100);
    ok(wait_until(60, sub { stored($two) == logged() - $before }),
        'the points go there') or diag $c->log;
};

subtest 'another secret' => sub {
    my $before = stored($two);
    $two->query(q{SET PASSWORD FOR "httpd" = 'second'});
    $c->secret('second');
    requests(50);
    ok(wait_until(60, sub { stored($two) == $before + 50 }),
        'is read without a restart') or diag $c->log;
};

subtest 'SIGTERM' => sub {
    my $before = stored($two);
    requests(500);
    is($c->ends_by('TERM'), 0, 'ends well');
    is(stored($two), $before + 500, 'all points were delivered');
};

subtest 'SIGWINCH, with a request under way' => sub {
    my $before = stored($two);
    my $said = logged();
    begin();
    requests(500);
    my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $c->port) or die "connect: $!";
    syswrite $client, "GET / HTTP/1.1\r\nHost: x\r\n";
    ok(wait_until(20, sub {
        my $page = get($c->url('/influx-metrics?json'))->{content};
        return decode_json($page)->{workers}{busy} >= 2;
    }), 'a request has begun');
    kill WINCH => $c->one;
    ok(wait_until(20, sub { $c->log =~ /AH00492/ }), 'a graceful stop');
    ok(wait_until(20, sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $c->port) }), 'nobody else gets in');
    syswrite $client, "\r\n";
    my $answer = '';
    1 while sysread $client, $answer, 4096, length $answer;
    like($answer, qr/^HTTP\/1\.1 200 .*hello world/s, 'it is answered');
    ok(wait_until(30, sub { !$c->alive }), 'and then it ends');
    is($c->{status}, 0, 'well');
    is(stored($two) - $before, logged() - $said, 'all points were delivered');
};

subtest 'InfluxDB is away at the end' => sub {
    my $before = stored($two);
    my $said = logged();
    begin();
    $two->stop;
    requests(200);
    is($c->ends_by('TERM'), 0, 'ends well');
    ok(glob("$c->{root}/var/spool/influx-metrics/points/*.lp"),
        'the spool has them, in its volume');
    $two->start;
    begin();
    ok(wait_until(30, sub { stored($two) - $before == logged() - $said }),
        'the next start delivers them')
        or diag stored($two) - $before, ' of ', logged() - $said, "\n", $c->log;
    is($c->ends_by('TERM'), 0, 'ends well');
};

finish();

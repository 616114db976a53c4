package ImxTest::Process;
#
# A process of ours: started by fork and exec, in a session of its own (httpd's
# prefork signals its process group), ended by its pid.
#
# This file cleans up, however the test ends: it ends the processes and removes
# the working directory.
#
use strict;
use warnings;
use POSIX qw(:sys_wait_h);
use Test::More ();
use ImxTest::Files;
use ImxTest::Wait;

my $owner = $$;                 # only this process cleans up
my ($serial, @running) = 0;

$SIG{INT} = $SIG{TERM} = $SIG{HUP} = sub { exit 1 };    # so that END runs
$SIG{PIPE} = 'IGNORE';

END {
    if ($$ == $owner) {
        local ($?, $@, $!);
        $_->_end for grep { defined } reverse @running;
        if (!$ENV{IMX_KEEP}) {
            remove_work_dir();
        }
        elsif (defined work_dir_made()) {
            Test::More::diag('kept: ' . work_dir_made());
        }
    }
}

# The process that runs the test.
sub owner { $owner }

# From now on $self->_end is called when the test ends.
sub _ours {
    my ($self) = @_;
    push @running, $self;
    return $self;
}

sub _init {
    my ($class, $name, %o) = @_;
    my $dir = work_dir() . "/$name" . ++$serial;
    mkdir $dir, 0755 or die "$dir: $!";
    my $self = bless { %o, dir => $dir, port => free_port() }, $class;
    return $self->_ours;
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
    return 1 if wait_until($seconds, sub { !$self->alive });
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
    wait_until(10, sub { !$self->alive });
}

sub _wait_ready {
    my ($self, $ready, $log) = @_;
    my $up = wait_until(30, sub { !$self->alive || $ready->() });
    return $self if $up && $self->alive;
    die ref($self) . " did not start:\n" . slurp($log);
}

1;

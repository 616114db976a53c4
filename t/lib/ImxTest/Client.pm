package ImxTest::Client;
#
# An exact load: c processes with one connection each.  A request whose answer
# did not come whole is counted as broken and not repeated; a connection that
# could not be made is tried again, as nothing was asked.
#
use strict;
use warnings;
use IO::Socket::INET;
use POSIX ();
use Socket qw(SOL_SOCKET SO_RCVTIMEO);
use Time::HiRes qw(time);
use ImxTest::Http;
use ImxTest::Wait;
use ImxTest::Process;
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
    return $self->_ours;
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

# Its processes, one a connection.
sub pids { return map { $_->{pid} } @{ $_[0]{workers} } }

sub _end {
    CORE::kill KILL => $_[0]->pids;
}

sub _run {
    my ($self, $i, $begin) = @_;
    my %r = (sent => 0, complete => 0, broken => 0);
    my $mine = defined $self->{n}
        ? int(($self->{n} + $self->{c} - 1 - $i) / $self->{c}) : undef;
    my $request = $self->{request}
        // "GET $self->{path} HTTP/1.1\r\nHost: $self->{host}\r\n"
        . ($self->{close} ? "Connection: close\r\n" : '') . "\r\n";
    my ($s, $due) = (undef, time);
    while (defined $mine ? $r{sent} < $mine
                         : time - $begin < $self->{seconds}) {
        _pace($self, \$due) if $self->{rate};
        $s //= $self->_connect or last;
        $r{sent}++;
        my $kept = write_all($s, $request) ? _answer($s) : undef;
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
    wait_until(20, sub {
        $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $self->{port}, Timeout => 5);
    });
    setsockopt $s, SOL_SOCKET, SO_RCVTIMEO,
        pack('l!l!', $self->{timeout} * slow(), 0) if $s;
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
    my $is_chunked = $fields =~ /^Transfer-Encoding:\s*chunked/mi;
    return if !defined $length && !$is_chunked;
    until ($is_chunked ? $got =~ /\r\n0\r\n\r\n\z/
                       : length $got >= $head + 4 + $length) {
        sysread($s, $got, 65536, length $got) or return;
    }
    return $close ? 0 : 1;
}

1;

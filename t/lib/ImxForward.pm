package ImxForward;
#
# A forwarder between httpd and an InfluxDB, that keeps each body of a write in
# a file, in its order, with the answer in the file's name: what was sent, and
# when, is seen there, and what InfluxDB has from InfluxDB itself.  `answer`
# may answer in its place, for what a real one cannot be made to do at a certain
# body.  No gzip (InfluxMetricsGzip off).
#
#   my $f = ImxForward->new($db, answer => sub {
#       my ($number, $forward, $body) = @_;      # from 1; in the child
#       ...                              # undef: forward it and answer that
#       $forward->();                    # forward it now; the status
#       return 'HTTP/1.1 503 ...';       # this, or '': close without an answer
#   });
#   $f->url; $f->bodies;                 # hashes: number status text, in order
#
use strict;
use warnings;
use File::Basename qw(basename);
use IO::Select;
use IO::Socket::INET;
use ImxTest;

our @ISA = ('ImxTest::Process');

sub new {
    my ($class, $db, %o) = @_;
    my $self = $class->_init('forward', %o, to => $db->port);
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $self->{port}, Listen => 64, ReuseAddr => 1)
        or die "forwarder: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { $self->_serve($listen) };
        print STDERR "forwarder: $@";
        POSIX::_exit(1);
    }
    $self->{pid} = $pid;
    return $self;
}

sub bodies {
    my ($self) = @_;
    return map {
        my ($number, $status) = basename($_) =~ /^(\d+)-(\d*)\.body$/;
        { number => $number, status => $status, text => slurp($_) };
    } sort glob "$self->{dir}/*.body";
}

sub _serve {
    my ($self, $listen) = @_;
    my $ready = IO::Select->new($listen);
    while (my @sockets = $ready->can_read) {
        for my $s (@sockets) {
            if ($s == $listen) {
                $ready->add($listen->accept);
            }
            elsif (!$self->_request($s)) {
                $ready->remove($s);
                close $s;
            }
        }
    }
}

sub _message {
    my ($s) = @_;
    my $got = '';
    my $head;
    while (($head = index $got, "\r\n\r\n") < 0) {
        sysread($s, $got, 65536, length $got) or return;
    }
    my ($length) = $got =~ /^Content-Length:\s*(\d+)/mi;
    while (length($got) < $head + 4 + ($length // 0)) {
        sysread($s, $got, 65536, length $got) or return;
    }
    return ($got, substr $got, $head + 4);
}

# 0: the connection ends.
sub _request {
    my ($self, $s) = @_;
    my ($message, $body) = _message($s) or return 0;
    my ($answer, $status) = ('', '');
    my $forward = sub {
        my $to = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $self->{to}) or return $answer = '';
        ImxTest::write_all($to, $message);
        ($answer) = _message($to);
        $answer //= '';
        ($status) = $answer =~ m{^HTTP/1\.1 (\d+)};
        return $status //= '';
    };
    my $own;
    my $writes = $message =~ m{^POST \S*/write(?:_lp)?\?};
    if ($writes) {
        $self->{number}++;
        $own = $self->{answer}->($self->{number}, $forward, $body)
            if $self->{answer};
    }
    if (defined $own) {
        $answer = $own;
        $status = $own =~ m{^HTTP/1\.1 (\d+)} ? $1 : '';
    }
    else {
        $forward->();
    }
    if ($writes) {
        my $name = sprintf '%s/%06d-%s', $self->{dir}, $self->{number}, $status;
        spew("$name.part", $body);
        rename "$name.part", "$name.body";
    }
    return length $answer && ImxTest::write_all($s, $answer);
}

1;

package ImxTest::Watch;
#
# A process that looks at the status page all the time, until it is told to end
# or its parent ends.  Looks that nobody answers do not count.
#
use strict;
use warnings;
use POSIX ();
use Test::More ();
use ImxTest::Process;
use ImxTest::Status;
our @ISA = ('ImxTest::Process');

sub new {
    my ($class, $h, %o) = @_;
    my $self = bless { pause => 0.02, %o }, $class;
    my $pid = open($self->{pipe}, '-|') // die "fork: $!";
    if ($pid == 0) {
        my $told;
        $SIG{TERM} = sub { $told = 1 };
        $SIG{$_} = 'DEFAULT' for qw(INT HUP);
        my $end = sub { $told || getppid != $self->owner };
        syswrite STDOUT, $self->_look($h, $end);
        POSIX::_exit(0);
    }
    $self->{pid} = $pid;
    return $self->_ours;
}

sub _look {
    my ($self, $h, $told) = @_;
    my ($looks, $before, %faults) = (0);
    until ($told->()) {
        select undef, undef, undef, $self->{pause};
        my $s = status($h) or next;
        $looks++;
        $faults{$_} //= $looks for faults($s, $before);
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

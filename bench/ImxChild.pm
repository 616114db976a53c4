# ImxChild.pm: processes of a benchmark's own, which end with it.
#
#   my $pid = fork_off(sub { ... });
#   end_child($pid);
package ImxChild;

use strict;
use warnings;
use Exporter qw(import);
use POSIX ();

our @EXPORT = qw(fork_off end_child);

my @children;
my $parent = $$;
END { kill KILL => @children if $$ == $parent }

sub fork_off {
    my ($work) = @_;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM);
        $work->();
        POSIX::_exit(0);
    }
    push @children, $pid;
    return $pid;
}

sub end_child {
    my ($pid) = @_;
    kill KILL => $pid;
    waitpid $pid, 0;
    @children = grep { $_ != $pid } @children;
}

1;

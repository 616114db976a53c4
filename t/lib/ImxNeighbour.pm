package ImxNeighbour;
#
# A module that is a process of another user with the shared memory, as a daemon
# of mod_wsgi with user= has it: see mod_neighbour.c.  Only for root.
#
#   use ImxTest; use ImxNeighbour;
#
#   my $so = test_module('neighbour');   # conf: LoadModule neighbour_module $so
#   neighbours($h);                  # pids of those that live
#   $h->put('scribble', '', 0644);   # from now on random words are written
#   crashes($h);                     # lines of the log: ends of processes that
#                                    # are not those of a restart or stop
#
use strict;
use warnings;
use Exporter qw(import);
use ImxTest;

our @EXPORT = qw(neighbours crashes);

sub neighbours {
    my ($h) = @_;
    return grep { slurp("/proc/$_/status") =~ /^Uid:\s65534/m } $h->children;
}

sub crashes {
    my ($h) = @_;
    return grep { /AH0005[0-2]|exit signal|Fatal error|assert/ } $h->error_log;
}

1;

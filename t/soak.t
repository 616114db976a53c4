# A minute of `make soak`: see tools/soak.pl.
use strict;
use warnings;
use FindBin;

$ENV{SOAK_SECONDS} ||= 60;
exec $^X, "$FindBin::Bin/../tools/soak.pl" or die "tools/soak.pl: $!";

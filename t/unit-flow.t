#!/usr/bin/perl
# flow.c: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/flow';
exec $program or die "$program: $!\n";

#!/usr/bin/perl
# outcome.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/outcome';
exec $program or die "$program: $!\n";

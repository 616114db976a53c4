#!/usr/bin/perl
# queried.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/queried';
exec $program or die "$program: $!\n";

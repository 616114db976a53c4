#!/usr/bin/perl
# geometry.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/geometry';
exec $program or die "$program: $!\n";

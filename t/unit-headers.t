#!/usr/bin/perl
# headers.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/headers';
exec $program or die "$program: $!\n";

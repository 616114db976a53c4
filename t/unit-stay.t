#!/usr/bin/perl
# stay.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/stay';
exec $program or die "$program: $!\n";

#!/usr/bin/perl
# address.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/address';
exec $program or die "$program: $!\n";

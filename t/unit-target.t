#!/usr/bin/perl
# target.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/target';
exec $program or die "$program: $!\n";

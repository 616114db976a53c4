#!/usr/bin/perl
# conflict.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/conflict';
exec $program or die "$program: $!\n";

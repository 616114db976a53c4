#!/usr/bin/perl
# twin.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/twin';
exec $program or die "$program: $!\n";

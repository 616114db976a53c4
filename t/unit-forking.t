#!/usr/bin/perl
# forking.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/forking';
exec $program or die "$program: $!\n";

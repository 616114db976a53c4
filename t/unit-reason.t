#!/usr/bin/perl
# reason.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/reason';
exec $program or die "$program: $!\n";

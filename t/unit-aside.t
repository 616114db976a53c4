#!/usr/bin/perl
# aside.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/aside';
exec $program or die "$program: $!\n";

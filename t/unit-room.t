#!/usr/bin/perl
# room.c against the stand-in server: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/room';
exec $program or die "$program: $!\n";

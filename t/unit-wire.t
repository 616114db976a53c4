#!/usr/bin/perl
# wire.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/wire';
exec $program or die "$program: $!\n";

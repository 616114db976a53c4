#!/usr/bin/perl
# retry_after.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/retry_after';
exec $program or die "$program: $!\n";

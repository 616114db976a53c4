#!/usr/bin/perl
# body.c: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/body';
exec $program or die "$program: $!\n";

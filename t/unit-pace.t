#!/usr/bin/perl
# pace.c: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/pace';
exec $program or die "$program: $!\n";

#!/usr/bin/perl
# answer.c: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/answer';
exec $program or die "$program: $!\n";

#!/usr/bin/perl
# secret.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/secret';
exec $program or die "$program: $!\n";

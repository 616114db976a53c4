#!/usr/bin/perl
# spool_owner.c: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/spool_owner';
exec $program or die "$program: $!\n";

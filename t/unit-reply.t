#!/usr/bin/perl
# reply.c: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/reply';
exec $program or die "$program: $!\n";

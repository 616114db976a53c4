#!/usr/bin/perl
# http_date.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/http_date';
exec $program or die "$program: $!\n";

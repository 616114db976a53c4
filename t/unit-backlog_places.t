#!/usr/bin/perl
# backlog_places.c alone: the C program prints the TAP.
use strict;
use warnings;

my $program = ($ENV{IMX_BUILD} // 'build') . '/unit/backlog_places';
exec $program or die "$program: $!\n";

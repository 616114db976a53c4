#!/usr/bin/perl
# Seconds and minutes of the history: t/unit/history.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/history" or die "$dir/unit/history: $!\n";

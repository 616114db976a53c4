#!/usr/bin/perl
# Intervals that are closed and written: t/unit/interval.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/interval" or die "$dir/unit/interval: $!\n";

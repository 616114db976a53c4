#!/usr/bin/perl
# Counters and histograms of requests: t/unit/stats.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/stats" or die "$dir/unit/stats: $!\n";

#!/usr/bin/perl
# The names of series: t/unit/series.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/series" or die "$dir/unit/series: $!\n";

#!/usr/bin/perl
# Percentiles and ladders: t/unit/quantile.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/quantile" or die "$dir/unit/quantile: $!\n";

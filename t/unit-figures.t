#!/usr/bin/perl
# The table of figures: t/unit/figures.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/figures" or die "$dir/unit/figures: $!\n";

#!/usr/bin/perl
# Rows of queries become lines: t/unit/rows.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/rows" or die "$dir/unit/rows: $!\n";

#!/usr/bin/perl
# The sets of tag values: t/unit/values.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/values" or die "$dir/unit/values: $!\n";

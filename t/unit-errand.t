#!/usr/bin/perl
# A step in a process of its own: t/unit/errand.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/errand" or die "$dir/unit/errand: $!\n";

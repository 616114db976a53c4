#!/usr/bin/perl
# The way to a directory: t/unit/safe_path.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/safe_path" or die "$dir/unit/safe_path: $!\n";

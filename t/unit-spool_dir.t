#!/usr/bin/perl
# A spool's directory: t/unit/spool_dir.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/spool_dir" or die "$dir/unit/spool_dir: $!\n";

#!/usr/bin/perl
# One file of a spool: t/unit/spool_file.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/spool_file" or die "$dir/unit/spool_file: $!\n";

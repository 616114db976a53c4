#!/usr/bin/perl
# The names of a spool's files: t/unit/spool_names.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/spool_names" or die "$dir/unit/spool_names: $!\n";

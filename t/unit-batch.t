#!/usr/bin/perl
# The batch's own tests: t/unit/batch.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/batch" or die "$dir/unit/batch: $!\n";

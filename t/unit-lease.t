#!/usr/bin/perl
# Unit tests of src/shared/lease.c: t/unit/lease.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/lease" or die "$dir/unit/lease: $!\n";

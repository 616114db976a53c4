#!/usr/bin/perl
# Unit tests of src/base/proc.c: t/unit/proc.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/proc" or die "$dir/unit/proc: $!\n";

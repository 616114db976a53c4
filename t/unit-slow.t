#!/usr/bin/perl
# Unit tests of src/shared/slow.c and twin.c: t/unit/slow.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/slow" or die "$dir/unit/slow: $!\n";

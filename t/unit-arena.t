#!/usr/bin/perl
# Unit tests of src/shared/arena.c: t/unit/arena.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/arena" or die "$dir/unit/arena: $!\n";

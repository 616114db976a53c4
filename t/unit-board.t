#!/usr/bin/perl
# Unit tests of src/shared/board.c: t/unit/board.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/board" or die "$dir/unit/board: $!\n";

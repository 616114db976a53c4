#!/usr/bin/perl
# Unit tests of src/shared/children.c: t/unit/children.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/children" or die "$dir/unit/children: $!\n";

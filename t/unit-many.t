#!/usr/bin/perl
# Many lines appended together, all or none: t/unit/many.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/many" or die "$dir/unit/many: $!\n";

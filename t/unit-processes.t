#!/usr/bin/perl
# Unit tests of src/shared/processes.c: t/unit/processes.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/processes" or die "$dir/unit/processes: $!\n";

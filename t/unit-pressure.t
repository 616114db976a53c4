#!/usr/bin/perl
# Unit tests of src/report/pressure.c: t/unit/pressure.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/pressure" or die "$dir/unit/pressure: $!\n";

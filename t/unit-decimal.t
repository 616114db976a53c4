#!/usr/bin/perl
# The text of a double: t/unit/decimal.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/decimal" or die "$dir/unit/decimal: $!\n";

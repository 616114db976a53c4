#!/usr/bin/perl
# What belongs to two pointers: t/unit/memo.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/memo" or die "$dir/unit/memo: $!\n";

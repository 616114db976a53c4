#!/usr/bin/perl
# How numbers and strings are written: t/unit/words.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/words" or die "$dir/unit/words: $!\n";

#!/usr/bin/perl
# How many requests kept their objectives lately: t/unit/objectives.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/objectives" or die "$dir/unit/objectives: $!\n";

#!/usr/bin/perl
# What is shown of the shared memory, read at one moment: t/unit/snapshot.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/snapshot" or die "$dir/unit/snapshot: $!\n";

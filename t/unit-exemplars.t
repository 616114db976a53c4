#!/usr/bin/perl
# The trace ids of slow requests: t/unit/exemplars.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/exemplars" or die "$dir/unit/exemplars: $!\n";

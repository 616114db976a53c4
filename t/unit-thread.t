#!/usr/bin/perl
# The life of a background thread: t/unit/thread.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/thread" or die "$dir/unit/thread: $!\n";

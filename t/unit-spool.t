#!/usr/bin/perl
# The spool's own tests: t/unit/spool.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/spool" or die "$dir/unit/spool: $!\n";

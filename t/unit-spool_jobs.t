#!/usr/bin/perl
# The work on the spools' disks: t/unit/spool_jobs.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/spool_jobs" or die "$dir/unit/spool_jobs: $!\n";

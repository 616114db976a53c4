#!/usr/bin/perl
# The spools and their account: t/unit/backlog.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/backlog" or die "$dir/unit/backlog: $!\n";

#!/usr/bin/perl
# The account of the lines in the spools: t/unit/backlog_account.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/backlog_account" or die "$dir/unit/backlog_account: $!\n";

#!/usr/bin/perl
# Segments on their way into a file: t/unit/backlog_claims.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/backlog_claims" or die "$dir/unit/backlog_claims: $!\n";

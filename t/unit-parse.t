#!/usr/bin/perl
# Which text is line protocol that every engine takes: t/unit/parse.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/parse" or die "$dir/unit/parse: $!\n";

#!/usr/bin/perl
# The encoder's own tests: t/unit/lineproto.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/lineproto" or die "$dir/unit/lineproto: $!\n";

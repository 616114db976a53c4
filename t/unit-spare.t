#!/usr/bin/perl
# Memory of the buffer that is not needed any more goes back: t/unit/spare.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/spare" or die "$dir/unit/spare: $!\n";

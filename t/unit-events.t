#!/usr/bin/perl
# Unit tests of src/shared/events.c: t/unit/events.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/events" or die "$dir/unit/events: $!\n";

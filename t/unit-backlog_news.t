#!/usr/bin/perl
# What the log is told of the spools: t/unit/backlog_news.c.
use strict;
use warnings;

my $dir = $ENV{IMX_BUILD} // 'build';
exec "$dir/unit/backlog_news" or die "$dir/unit/backlog_news: $!\n";

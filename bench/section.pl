#!/usr/bin/perl
# section.pl NAME COMMAND [ARGUMENT ...]: runs a benchmark program that prints
# Markdown, shows it, and makes it section NAME of docs/performance.md, which
# `make bench-NAME` repeats. Exits as the program did; a failed one writes
# nothing. A line "README: TEXT" is for README.md.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use ImxReport;

my ($name, @command) = @ARGV;
die "usage: $0 NAME COMMAND [ARGUMENT ...]\n" unless @command;

open my $pipe, '-|', @command or die "$command[0]: $!\n";
my ($markdown, $readme) = '';
while (my $line = <$pipe>) {
    print $line;
    if ($line =~ /^README: (.*)/) {
        $readme = $1;
    }
    else {
        $markdown .= $line;
    }
}
close $pipe;
exit(($? >> 8) || 1) if $?;
ImxReport::write($name, $markdown, command => "make bench-$name"
        . ($name eq 'encoder' && $ENV{QUESTDB_C} ? ' QUESTDB_C=DIR' : '')
        . ($name eq 'beat' && ($ENV{BEAT_MORE} // 5) != 5
            ? " BEAT_MORE=$ENV{BEAT_MORE}" : ''),
    readme => $readme);

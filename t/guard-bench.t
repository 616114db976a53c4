# `make bench-all` runs every benchmark that is about time, and no other: what it
# leaves out keeps figures of another day and another state of the sources.  Each
# of them says who is on which core, and each benchmark has a control.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

# They count, and what they count is the same on a busy machine.
my %counts = map { $_ => 1 } qw(bench-instructions bench-fields bench-counted
    bench-bytes bench-cardinality);

my $makefile = slurp('Makefile') =~ s/\\\n\s*/ /gr;
my ($phony) = $makefile =~ /^\.PHONY: (.*)$/m;
my ($timed) = $makefile =~ /^TIMED = (.*)$/m;
my @all = grep { /^bench/ && $_ ne 'bench-all' } split ' ', $phony // '';
cmp_ok(scalar @all, '>=', 15, 'there are benchmarks');
is_deeply([sort split ' ', $timed // ''], [sort grep { !$counts{$_} } @all],
    'bench-all runs all that are about time');
is_deeply([grep { $makefile !~ /^(?:[^\n:=]* )?\Q$_\E(?: [^\n:=]*)?:/m } @all], [],
    '... which are there');

# A program of each: most have its name.
my %source = (bench => 'bench.pl', 'bench-encoder' => 'encoders.pl');
my %text = map {
    my $name = $_;
    my ($file) = grep { -e } $source{$name} ? "bench/$source{$name}"
        : map { 'bench/' . ($name =~ s/^bench-//r) . $_ } '.pl', '.c';
    ($name => defined $file ? slurp($file) : '');
} grep { $_ ne 'bench-cardinality' } @all;
is_deeply([grep { $text{$_} eq '' } sort keys %text], [], 'each has a program');
$text{'bench-flusher'} .= slurp('bench/cases.c');
# Memory is the same on each core.
is_deeply([grep { $text{$_} !~ /\b(?:taskset|pin_to\(|pin(?:_as_usual)?\()/ }
    grep { $_ ne 'bench-vhosts' } split ' ', $timed], [],
    'who is measured has a core of its own');
is_deeply([grep { $text{$_} !~ /\bcontrol\b/ } sort keys %text], [],
    'each has a control');

finish();

# `make bench-all` runs every benchmark that is about time, and no other: what it
# leaves out keeps figures of another day and another state of the sources.
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

finish();

# The table of figures and the manual name the same figures, and each has what
# a reader needs: a label without a point, a sentence of help.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

my $rows = slurp('src/shared/figures.c') =~ s/"\s*\n\s*"//gr;
my (%table, @bad);
while ($rows =~ /^\s+ROW\((\w+),\s*"((?:[^"\\]|\\.)*)",\s*\w,\s*(\w+),\s*
    "(\w*)",\s*"((?:[^"\\]|\\.)*)"\)/gmx) {
    my ($name, $label, $unit, $help) = ($1, $2, $4, $5);
    push @bad, "$name is there twice" if $table{$name}++;
    push @bad, "$name: the label '$label'" if $label !~ /^[A-Z].*[^.]$/;
    push @bad, "$name: the unit '$unit'"
        if $unit !~ /^(?:points|bytes|seconds|)$/;
    push @bad, "$name: help is no sentence: '$help'"
        if $help !~ /^[A-Za-z].{10,}\.$/;
}
cmp_ok(scalar keys %table, '>=', 20, 'figures.c has a table');
is(scalar keys %table, scalar(() = $rows =~ /^\s+ROW\(/mg),
    'each row was understood');
is_deeply(\@bad, [], 'each row has what a reader needs');

my ($section) = slurp('docs/status-page.md')
    =~ /^## Figures\n(.*?)^## /ms;
my %manual = map { $_ => 1 } map { /`(\w+)`/g }
    ($section // '') =~ /^\| (`[^|]*`) \|/mg;
is_deeply([sort keys %manual], [sort keys %table],
    'docs/status-page.md, "Figures", names each of them, and no other');

finish();

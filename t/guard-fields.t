# The list of built-in tags and fields (src/config/builtin.def) and the tables of
# the manual say the same, word for word and both ways; and the list has the
# order that the code relies on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";
my $cc = $ENV{CC} || 'cc';

# The list as a compiler reads it: tag or field, name, *, limited or type, unit,
# help.
sub list {
    my $program = work_dir() . '/list';
    spew("$program.c", <<'C');
#include "config/builtin.h"
#include <stdio.h>
int main(void)
{
    static const char *const types[] = {
        [IMX_KIND_SECONDS] = "float", [IMX_KIND_INT] = "integer",
        [IMX_KIND_BOOL] = "boolean", [IMX_KIND_STRING] = "string"
    };
    int i;

    for (i = 0; i < IMX_TAGS; i++) {
        printf("tag\t%s\t%s\t%s\t\t%s\n", imx_builtin_tags[i].name,
               IMX_TAGS_USUAL & IMX_BIT(i) ? "*" : "",
               imx_builtin_tags[i].is_limited ? "limited" : "",
               imx_builtin_tags[i].help);
    }
    for (i = 0; i < IMX_FIELDS; i++) {
        printf("field\t%s\t%s\t%s\t%s\t%s\n", imx_builtin_fields[i].name,
               IMX_FIELDS_USUAL & IMX_BIT(i) ? "*" : "",
               types[imx_builtin_fields[i].kind], imx_builtin_fields[i].unit,
               imx_builtin_fields[i].help);
    }
    return 0;
}
C
    is(system("$cc -std=c11 -D_DEFAULT_SOURCE -I. -Isrc -o $program $program.c "
        . 'src/config/builtin.c'), 0, 'the list compiles') or return;
    return map { chomp; [split /\t/, $_, -1] } `$program`;
}

# The rows of the manual's table that begins so.
sub manual {
    my ($head) = @_;
    my ($table) = slurp('docs/points.md')
        =~ /^\Q$head\E\n\|[-|]+\n((?:\|.*\n)+)/m or return;
    return map { [map { s/^\s+|\s+$//gr } (split /(?<!\\)\|/)[1 .. ($head =~ tr/|//) - 1]] }
        split /\n/, $table;
}

my @list = list();
my @tags = grep { $_->[0] eq 'tag' } @list;
my @fields = grep { $_->[0] eq 'field' } @list;
cmp_ok(scalar @tags, '>=', 13, 'the list has tags');
cmp_ok(scalar @fields, '>=', 21, 'and fields');

sub name { my ($row) = @_; return "`$row->[1]`" . ($row->[2] && ' *') }

is_deeply([manual('| tag | what it is |')],
    [map { [name($_), $_->[5]] } @tags], 'the tags of the manual');
is_deeply([manual('| field | type | unit | what it is |')],
    [map { [name($_), @$_[3, 4, 5]] } @fields], 'the fields of the manual');

my @names = map { $_->[1] } @tags;
is_deeply(\@names, [sort @names], 'tags are sorted, as they stand in a line');
is_deeply([map { $_->[1] } grep { $_->[2] } @fields],
    [map { $_->[1] } @fields[0 .. 2]], 'the usual fields are the first three');
my %seen;
is_deeply([grep { $seen{$_}++ } map { $_->[1] } @list], [], 'no name twice');
is_deeply([grep { $_->[5] eq '' } @list], [], 'each has its help');

# What can be personal stands in the table that says what it reveals.
my %reveals = map { $_ => 1 } map { $_->[0] =~ /`(\w+)`/g }
    manual('| field or tag | what it reveals |');
is_deeply([map { $_->[1] } grep { !$reveals{ $_->[1] } } grep {
    $_->[3] eq 'string' || $_->[3] eq 'limited' } @list], [],
    'each string and each tag that a client can influence is explained '
    . 'under "Personal data"');

# The sentence about a wrong name has all of them.
for my $of ([Tags => \@tags], [Fields => \@fields]) {
    my $h = httpd(module => 1, start => 0,
        conf => "InfluxMetrics$of->[0] nonsense\n");
    my ($ok, $text) = $h->configtest;
    ok(!$ok, "InfluxMetrics$of->[0] with a wrong name is refused");
    like($text, qr/\Q@{[join ', ', map { $_->[1] } @{ $of->[1] }]}\E/,
        '... and the sentence has the names of the list');
}

finish();

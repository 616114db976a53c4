# A reader finds a way through the manual: each page has several parts, and begins
# with a table of contents that names all of them, in order; every link leads to a
# page, a part or a file that is there; and docs/README.md names every page.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench";
use ImxBytes;
use ImxReport;
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

# Headings, by the names that links have for them: letters, digits, hyphens.
sub anchor { return lc($_[0]) =~ s/[^\w\- ]//gr =~ s/ /-/gr }

# What is shown as it is written has neither headings nor links.
sub text_of {
    my ($page) = @_;
    my $text = slurp($page);
    $text =~ s/^```.*?^```$//gms;
    $text =~ s/^    .*$//gm;
    return $text;
}

my @pages = ('README.md', 'dashboards/README.md', sort glob 'docs/*.md');
my (%parts, %links, %begin);
for my $page (@pages) {
    my $text = text_of($page);
    my %seen;
    for my $heading ($text =~ /^(#+ .*)$/mg) {
        my ($level, $title) = $heading =~ /^(#+) (.*)$/;
        my $name = anchor($title =~ s/`//gr);
        $name .= "-$seen{$name}" if $seen{$name}++;
        push @{ $parts{$page} }, [length $level, $name];
    }
    # A link may go over the end of a line.
    my $plain = $text =~ s/`[^`\n]*`/code/gr;
    $links{$page} = [$plain =~ /\]\(([^)\s]+)\)/g];
    ($begin{$page}) = $plain =~ /\A(.*?)(?:^## |\z)/ms;
}
cmp_ok(scalar @pages, '>=', 15, 'there are pages');
cmp_ok(scalar(map { @$_ } values %links), '>=', 150, '... with links');

my %is_part = map { my $page = $_;
    map { ("$page#$_->[1]" => 1) } @{ $parts{$page} } } @pages;

sub leads_nowhere {
    my ($page, $link) = @_;
    return 0 if $link =~ m{^https?://};
    my ($path, $part) = $link =~ /^([^#]*)(?:#(.*))?$/;
    my $to = $path eq '' ? $page : ($page =~ s{[^/]*$}{}r) . $path;
    1 while $to =~ s{[^/]+/\.\./}{};
    return 1 if !-e $to;
    return defined $part && !$is_part{"$to#$part"};
}

for my $page (@pages) {
    is_deeply([grep { leads_nowhere($page, $_) } @{ $links{$page} }], [],
        "$page: its links lead somewhere");
    next if $page =~ m{^(?:docs/)?README\.md$};  # an entrance, and a table itself
    my @wanted = map { $_->[1] } grep { $_->[0] == 2 } @{ $parts{$page} };
    cmp_ok(scalar @wanted, '>=', 2, "$page: it has parts");
    is_deeply([$begin{$page} =~ /\]\(#([^)]+)\)/g], \@wanted,
        "$page: it begins with its contents")
        or diag join "\n", map { "- [](#$_)" } @wanted;
}

# The list of pages, one line a page.
my %listed = map { $_ => 1 } map { s/#.*//r } grep { !/:/ }
    @{ $links{'docs/README.md'} };
is_deeply([grep { !$listed{ s{docs/}{}r } } grep { m{^docs/(?!README)} } @pages],
    [], 'docs/README.md names each page');

# What was tried stands in README, too.
my ($tried, $in_readme) = map { slurp($_) =~ /^(\| system \| httpd .*?)^$/ms }
    qw(docs/compatibility.md README.md);
like($tried // '', qr/^\| Debian /m, 'docs/compatibility.md has a table');
is($in_readme, $tried, '... which is that of README.md');

# What follows from the bytes of a point is of the same run everywhere.
my ($bytes) = slurp('docs/performance.md')
    =~ /^<!-- begin bytes -->\n(.*?)^<!-- end bytes -->/ms;
my $tables = ImxBytes::tables($bytes);
for my $page (sort keys %$tables) {
    for my $name (sort keys %{ $tables->{$page} }) {
        my ($is) = slurp($page)
            =~ /^<!-- begin $name -->\n(.*?)^<!-- end $name -->/ms;
        is($is, $tables->{$page}{$name}, "$page: $name, as docs/performance.md has it");
    }
}

# README says of a table what the table says.
for my $name (qw(instructions flusher bytes idle)) {
    my ($table, $item) = map {
        slurp($_) =~ /^<!-- begin $name -->\n(.*?)^<!-- end $name -->/ms
    } 'docs/performance.md', 'README.md';
    is($item, ImxReport::item_of($name, $table // ''), "README.md: $name");
}

# Messages of the log that a page names are explained.
my %explained = map { $_ => 1 } slurp('docs/messages.md') =~ /^### (IMX\d{4})$/mg;
cmp_ok(scalar keys %explained, '>=', 50, 'messages are explained');
for my $page (@pages) {
    is_deeply([grep { !$explained{$_} } slurp($page) =~ /\b(IMX\d{4})\b/g], [],
        "$page: each message that it names is explained");
}

# Tests that a page names.
for my $page (@pages) {
    is_deeply([grep { !-e } slurp($page) =~ m{\b(t/[\w-]+\.t)\b}g], [],
        "$page: tests that it names are there");
}

finish();

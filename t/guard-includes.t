# Arrows point down: a file includes only headers of lower levels of the table
# in docs/architecture.md, besides its own; levels without httpd stay so.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

my %level = levels();
cmp_ok(scalar keys %level, '>=', 5,
    'docs/architecture.md has a table | level | file |');

my @sources = glob '*.[ch]';
my %base = map { (s/\.[ch]$//r => 1) } @sources;
is_deeply([sort grep { !$base{$_} } keys %level], [],
    'every file of the table exists');
is_deeply([sort grep { !defined $level{$_} } keys %base], [],
    'every source file has a level');

my $arrows = 0;
for my $file (@sources) {
    my $self = $file =~ s/\.[ch]$//r;
    next if !defined $level{$self};
    for my $name (slurp($file) =~ /^\s*#\s*include\s+"([^"]+)"/mg) {
        my $other = $name =~ s/\.h$//r;
        next if $other eq $self || !-f $name;   # its own; httpd's
        $arrows++;
        ok(defined $level{$other} && $level{$other} < $level{$self},
            "$file (level $level{$self}) includes $name (level "
            . ($level{$other} // 'none') . ')');
    }
}
cmp_ok($arrows, '>=', 5, "$arrows arrows were looked at");

my @low = grep { -f } map { ("$_.c", "$_.h") }
    grep { $level{$_} <= 2 && !knows_httpd($_) } sort keys %level;
cmp_ok(scalar @low, '>=', 6, 'the files that link without httpd are there');
for my $file (@low) {
    my @httpd = grep { /^(?:apr\w*|ap_\w+|http\w*|util_\w+|mod_\w+|mpm_\w+|
        scoreboard|unixd)\.h$/x } slurp($file) =~ /#\s*include\s+[<"]([^>"]+)/g;
    is_deeply(\@httpd, [], "$file includes nothing of httpd or APR");
}

finish();

# The command table and the manual name the same directives.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

my %table = map { $_ => 1 }
    slurp('src/config/config.c') =~ /AP_INIT_\w+\(\s*"(InfluxMetrics\w*)"/g;
my %manual = map { $_ => 1 }
    slurp('docs/directives.md') =~ /^#+ +`?(InfluxMetrics\w*)/mg;

cmp_ok(scalar keys %table, '>=', 10, 'config.c has a command table');
cmp_ok(scalar keys %manual, '>=', 10, 'docs/directives.md has headings');
is_deeply([sort grep { !$manual{$_} } keys %table], [],
    'every directive has a heading in docs/directives.md');
is_deeply([sort grep { !$table{$_} } keys %manual], [],
    'every heading there is a directive');

# What the files for a2enmod and the manual's examples say exists, too.
for my $file (glob('conf/*.conf'), glob('docs/*.md'), 'README.md') {
    my %named = map { $_ => 1 } slurp($file) =~ /\b(InfluxMetrics\w*)/g;
    is_deeply([sort grep { !$table{$_} } keys %named], [],
        "$file names only directives that exist");
}

finish();

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

# The index at the top of the page has a row for each directive that can be
# used, with what its section says, and with the places that httpd allows.
my %flags = slurp('src/config/config.c')
    =~ /AP_INIT_\w+\(\s*"(InfluxMetrics\w*)"(?:(?!AP_INIT)(?!\},).)*?\b(RSRC_CONF|ANYWHERE)\b/gs;
my %refused = map { $_ => 1 } slurp('src/config/config.c')
    =~ /AP_INIT_RAW_ARGS\("(InfluxMetrics\w*)", refuse_name/g;
my $page = slurp('docs/directives.md');
my ($index) = $page =~ /\A(.*?)^## /ms;
my %row = map { $_->[0] => $_ } map { [/\[(\w+)\]\(#\w+\) \| (.*?) \| (.*?) \| (.*?) \|$/] }
    grep { /^\| \[InfluxMetrics/ } split /\n/, $index;
is_deeply([sort keys %flags], [sort keys %table], 'each has a place in the table');
cmp_ok(scalar keys %refused, '>=', 3, 'some only say that they do not exist');
is_deeply([sort keys %row], [sort grep { !$refused{$_} } keys %table],
    'the index has a row for each directive, and no other');
for my $name (sort keys %row) {
    my ($default, $context) = map { s/\s+/ /gr } $page
        =~ /^## $name\n.*?^Default:\s+(.*?)\.\s+Context:\s+(.*?)\./ms;
    my (undef, undef, $in_row, $places) = @{ $row{$name} };
    like("$default,", qr/^\Q$in_row\E[,;]/, "$name: the default of its section");
    is($places, $context, "$name: the context of its section");
    is($places =~ /directory/ ? 'ANYWHERE' : 'RSRC_CONF', $flags{$name},
        '... is that of the command table');
}

# The file for a2enmod shows the same defaults, where it says that it does.
my $shipped = join "\n", grep { !/No defaults?|Off by default/ }
    split /\n\n/, slurp('conf/influx_metrics.conf');
my %shown = $shipped =~ /^ *#(InfluxMetrics\w+) (.*)$/mg;
cmp_ok(scalar keys %shown, '>=', 15, 'conf/influx_metrics.conf shows defaults');
is_deeply([grep { "`$shown{$_}`" ne $row{$_}[2] } sort keys %shown], [],
    '... those of the index');

# What the files for a2enmod and the manual's examples say exists, too.
for my $file (glob('conf/*.conf'), glob('docs/*.md'), 'README.md') {
    my %named = map { $_ => 1 } slurp($file) =~ /\b(InfluxMetrics\w*)/g;
    is_deeply([sort grep { !$table{$_} } keys %named], [],
        "$file names only directives that exist");
}

finish();

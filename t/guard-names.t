# The endpoint for applications' points knows every measurement that the module
# writes itself: those in the sources, and those in the manual.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

my ($list) = slurp('src/config/names.c')
    =~ /const char \*const ours\[\] = \{(.*?)\}/s;
my %known = map { $_ => 1 } ($list // '') =~ /"([^"]+)"/g;
cmp_ok(scalar keys %known, '>=', 8, 'src/config/names.c has a list');

my %written = map { $_ => 1 }
    map { slurp($_) =~ /imx_output_begin\(\s*\w+,\s*"([^"]+)"/g }
    glob('src/report/*.c');
cmp_ok(scalar keys %written, '>=', 7, 'src/report writes measurements');
my ($default) = slurp('src/record/plan.c') =~ /:\s*"(raw-[\w-]+)"/;
ok(defined $default, 'the measurement of requests has a name');
$written{$default // ''} = 1;
my @manual = slurp('docs/measurements.md') =~ /^## ([a-z]+-[a-z-]+)$/mg;
is_deeply([sort grep { !$known{$_} } keys %written, @manual], [],
    'nobody else may write to one of them');

finish();

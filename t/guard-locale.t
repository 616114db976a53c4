# A script in httpd's process may have set a locale in which numbers have a comma
# (t/locale.t): numbers with a fraction are written by APR, which has no locale,
# by base/decimal or by base/c_locale.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

my $fraction = qr/%[-+ #0]*(?:\d+|\*)?(?:\.(?:[1-9]\d*|\*)[fF]|[fF]|(?:\.(?:\d+|\*))?[eEgGaA])/;
my ($files, $seen) = (0, 0);
for my $file (glob('*.[ch]'), glob('src/*/*.[ch]')) {
    my $text = slurp($file) =~ s{/\*.*?\*/}{}gsr;
    $files++;
    $seen += () = $text =~ /imx_c_locale_print\((?:[^;]*?)$fraction/g;
    next if $file =~ m{^src/base/c_locale\.};
    my @bad = grep { /$fraction/ }
        $text =~ /(?<![\w])((?:v?s?n?printf|vdprintf|v?f?d?printf|f?s?scanf)\s*\([^;]*;)/g;
    # Whoever passes a format on may get it from anywhere in the file.
    push @bad, grep { /$fraction/ } $text =~ /("(?:[^"\\\n]|\\.)*")/g
        if $text =~ /\bv(?:s|sn|d|f)?printf\s*\(/;
    push @bad, $text =~ /\b((?:strto(?:d|f|ld)(?:_l)?|ato[f])\s*\([^;]*;)/g;
    is_deeply(\@bad, [], "$file: no number by the locale") if @bad;
}
cmp_ok($files, '>=', 100, 'the sources were looked at');
cmp_ok($seen, '>=', 4, 'numbers in the locale "C" are seen');
finish();

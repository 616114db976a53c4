# The module's version stands in src/base/version.h and at the head of
# CHANGELOG.md and of the packages' files, and all say the same.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

my ($code) = slurp('src/base/version.h') =~ /^#define IMX_VERSION "([^"]+)"$/m;
like($code // '', qr/^\d+\.\d+\.\d+$/, 'version.h has a version');
my ($changes) = slurp('CHANGELOG.md') =~ /^## (\S+)/m;
is($changes, $code, 'CHANGELOG.md begins with the same');
my ($debian) = slurp('debian/changelog') =~ /^mod-influx-metrics \((\S+)\)/;
is($debian, $code, 'debian/changelog, too');
my ($rpm) = slurp('rpm/mod_influx_metrics.spec') =~ /^Version: (\S+)$/m;
is($rpm, $code, 'and the spec file');
my @elsewhere = grep {
    slurp($_) =~ m{mod_influx_metrics[ /]\d+\.\d+\.\d}
} glob('*.[ch]'), glob('src/*/*.[ch]');
is_deeply(\@elsewhere, [], 'no source file has a version of its own');

finish();

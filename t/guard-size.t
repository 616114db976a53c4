# A file is one thing: none has more than 700 lines, but for tests; and one other
# file, for a reason.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

use constant MOST => 700;

chdir top() or die top() . ": $!";

my @files = (glob('*.[ch]'), glob('src/*/*.[ch]'), glob('bench/*.{c,h,pl,pm}'),
    grep({ -f } glob('tools/*'), glob('tools/*/*'), glob('bench/*/*'),
        glob('src/*/page/*')), glob('t/lib/*.{c,pm}'), glob('t/lib/*/*.pm'),
    'Makefile', glob('top/*'));
cmp_ok(scalar @files, '>=', 60, 'there are files');
my %lines = map { $_ => slurp($_) =~ tr/\n// } @files;
# One program in one file, which works wherever it is copied to: docs/architecture.md
# has the reason.
my %may_have = ('top/influx-metrics-top' => 1200);
is_deeply([grep { $lines{$_} > ($may_have{$_} // MOST) } @files], [],
    'none has more than ' . MOST . ' lines');
is_deeply([grep { ($lines{$_} // 0) <= MOST } keys %may_have], [],
    'what may have more needs it');

finish();

# A file is one thing: none has more than 700 lines, but for tests.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

use constant MOST => 700;

chdir top() or die top() . ": $!";

my @files = (glob('*.[ch]'), glob('src/*/*.[ch]'), glob('bench/*.{c,h,pl,pm}'),
    glob('tools/*'), glob('t/lib/*.{c,pm}'), glob('t/lib/*/*.pm'), 'Makefile');
cmp_ok(scalar @files, '>=', 60, 'there are files');
my %lines = map { $_ => slurp($_) =~ tr/\n// } @files;
is_deeply([grep { $lines{$_} > MOST } @files], [],
    'none has more than ' . MOST . ' lines');

finish();

# A file is one thing: none has more than 700 lines, but for tests.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

use constant MOST => 700;

chdir top() or die top() . ": $!";

# Those that are still to be divided; when one is, it goes from this list.
my %too_large = map { $_ => 1 } qw(lineproto.c);

my @files = (glob('*.[ch]'), glob('src/*/*.[ch]'), glob('bench/*.{c,h,pl,pm}'),
    glob('tools/*'), glob('t/lib/*.{c,pm}'), glob('t/lib/*/*.pm'), 'Makefile');
cmp_ok(scalar @files, '>=', 60, 'there are files');
my %lines = map { $_ => slurp($_) =~ tr/\n// } @files;
is_deeply([grep { $lines{$_} > MOST && !$too_large{$_} } @files], [],
    'none has more than ' . MOST . ' lines');
is_deeply([grep { ($lines{$_} // 0) <= MOST } sort keys %too_large], [],
    'the list of those that have has no other');

finish();

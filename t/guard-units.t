# Each file of the rooms that link without httpd has a unit test of its name, or
# there is one that has its tests among its own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

# They are tried through what uses them.
my %in = (
    batch_source => 'sender',    # a load of the batch
    claim => 'batch',            # another file of batch.h
    health => 'verdict',
    intake => 'arena',
    measured => 'arena',
    seconds => 'history',
    secret_hide => 'secret',     # another file of secret.h
    spool_count => 'spool',
    tally => 'interval',
);

my @sources = map { m{([^/]+)\.c$} } 'lineproto.c', 'src/intake/parse.c',
    glob 'src/{base,shared,deliver}/*.c';
cmp_ok(scalar @sources, '>=', 60, 'there are sources');
sub has_test { return -e "t/unit/$_[0].c" && -e "t/unit-$_[0].t" }

is_deeply([grep { !has_test($_) && !$in{$_} } @sources], [],
    'each has its unit test');
is_deeply([grep { has_test($_) } sort keys %in], [],
    'what is tried through others has none');
my %is_source = map { $_ => 1 } @sources;
is_deeply([grep { !$is_source{$_} || !has_test($in{$_}) } sort keys %in], [],
    '... and is there, as the other test is');
is_deeply([grep { !-e "t/unit/$_.c" } map { m{t/unit-(\w+)\.t} } glob 't/unit-*.t'],
    [], 'each test has a program');

finish();

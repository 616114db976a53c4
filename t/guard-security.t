# docs/security.md says what holds, and each of its points names the tests that
# show it: there is none without, and no test that is not there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

my $text = slurp('docs/security.md');
my @points = grep { !/\A- \[.*\]\(#/ }    # that is the table of contents
    $text =~ /^(- .*\n(?:  .*\n|\n(?=  ))*)/mg;
cmp_ok(scalar @points, '>=', 30, 'the points were found');
is_deeply([map { (split /\n/)[0] } grep { !m{\bt/[\w-]+\.t\b} } @points], [],
    'each names a test');

my @tests = $text =~ m{\b(t/[\w-]+\.t)\b}g;
is_deeply([grep { !-e } @tests], [], 'each test is there');

my @ids = $text =~ /(IMX\d{4})/g;
my $messages = slurp('docs/messages.md');
is_deeply([grep { $messages !~ /^### $_$/m } @ids], [],
    'each message is explained');

finish();

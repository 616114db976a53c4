# Every log id is used for one message, is explained in docs/messages.md, and
# nothing is explained that does not exist.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

my (%used, @bare, %calls);
for my $file (glob('*.c'), glob('src/*/*.c')) {
    my $text = slurp($file);
    $used{"IMX00$_"}++ for $text =~ /IMX_LOGNO\((\d+)\)/g;
    $used{$_}++ for $text =~ /"(IMX\d+): /g;
    # A message to httpd's log without an id; say() is what the files have that
    # do not know httpd, in the form say(whose, level, ...).
    while ($text =~ /\b(?:ap_log_\w*error|(?:imx_\w+_)?say)\s*\(([^;]*);/g) {
        my $call = $1;
        $calls{$file}++;
        push @bare, "$file: " . substr $call, 0, 70
            if $call !~ /IMX_LOGNO|"IMX\d{4}: |\btext\b|const char \*format/;
    }
}
cmp_ok(scalar keys %used, '>=', 5, 'the sources have log ids');
is_deeply([sort grep { !/^IMX\d{4}$/ } keys %used], [], 'of four digits');
is_deeply([sort grep { $used{$_} > 1 } keys %used], [],
    'each is used in one place');
is_deeply(\@bare, [], 'no message without an id');
cmp_ok($calls{$_} // 0, '>=', 3, "$_ was looked at")
    for qw(src/config/check.c src/server/life.c src/server/helper.c
        src/deliver/news.c src/deliver/spool.c);

my @explained = slurp('docs/messages.md')
    =~ /^(?:#+ |\| *|[-*] +)[`*]*(IMX\d{4})/mg;
my %explained;
$explained{$_}++ for @explained;
cmp_ok(scalar @explained, '>=', 5, 'docs/messages.md explains log ids');
is_deeply([sort grep { $explained{$_} > 1 } keys %explained], [],
    'each of them once');
is_deeply([sort grep { !$explained{$_} } keys %used], [],
    'every id is explained');
is_deeply([sort grep { !$used{$_} } keys %explained], [],
    'every explained id exists');

finish();

# What the lower levels call: no httpd and no APR, and lineproto nothing but
# the memory functions.  Compiled here without httpd's include directories, so
# that nothing else stands between the source and the answer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";
my $cc = $ENV{CC} || 'cc';

my %allowed = (
    lineproto => qr/^(?:mem(?:cpy|move|set|cmp)|_GLOBAL_OFFSET_TABLE_)$/,
    batch => qr/^(?!ap_|apr_|curl_|unixd_)/,
    influx => qr/^(?!ap_|apr_|imx_batch_|imx_lineproto_|unixd_)/,
    monitor => qr/^(?!ap_|apr_|curl_|unixd_)/,
);
for my $name (sort keys %allowed) {
    my $object = work_dir() . "/$name.o";
    is(system("$cc -std=gnu11 -O2 -fPIC -fno-stack-protector "
        . "-U_FORTIFY_SOURCE -c -o $object $name.c"), 0,
        "$name.c compiles without httpd") or next;
    my @undefined = `nm -u $object` =~ /^\s+[Uwv] ([^\s@]+)/mg;
    like(`nm --defined-only $object`, qr/ T imx_${name}_/,
        "$name: nm sees what it has");
    my @bad = grep { !/$allowed{$name}/ } @undefined;
    is_deeply(\@bad, [], "$name: calls nothing that it must not");
}

finish();

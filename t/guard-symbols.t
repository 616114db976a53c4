# What the lower levels call: no httpd and no APR, and lineproto nothing but
# the memory functions and the text of a double.  Compiled here without httpd's include directories, so
# that nothing else stands between the source and the answer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";
my $cc = $ENV{CC} || 'cc';

my %path = map { (s{^.*/}{}r => $_) } low_files();
my @names = sort keys %path;
my $not_httpd = qr/^(?!ap_|apr_|unixd_)/;
my $not_curl = qr/^(?!ap_|apr_|unixd_|curl_)/;
my %allowed = (
    lineproto => qr/^(?:mem(?:cpy|move|set|cmp)|imx_decimal_write|_GLOBAL_OFFSET_TABLE_)$/,
    decimal => qr/^(?:mem(?:cpy|set)|_GLOBAL_OFFSET_TABLE_)$/,
    batch => $not_curl,
    answer => qr/^(?!ap_|apr_|curl_|deflate|unixd_|imx_(?!answer|reason))/,
    reason => qr/^(?!ap_|apr_|curl_|deflate|unixd_|imx_(?!reason))/,
    influx => qr/^(?!ap_|apr_|unixd_|imx_batch_|imx_lineproto_)/,
    monitor => $not_curl,
);
is_deeply([grep { my $name = $_; !grep { $_ eq $name } @names }
    sort keys %allowed], [], 'the files are there, in rooms without httpd');

for my $name (@names) {
    my $allowed = $allowed{$name} // $not_httpd;
    my $object = work_dir() . "/$name.o";
    is(system("$cc -std=c11 -D_DEFAULT_SOURCE -O2 -fPIC -fno-stack-protector "
        . "-U_FORTIFY_SOURCE -I. -Isrc -c -o $object $path{$name}.c"), 0,
        "$name.c compiles without httpd") or next;
    my @undefined = `nm -u $object` =~ /^\s+[Uwv] ([^\s@]+)/mg;
    # parts of batch.h
    my $prefix = $name =~ /^(?:claim|geometry)$/ ? 'batch' : $name;
    like(`nm --defined-only $object`, qr/ T imx_${prefix}_/,
        "$name: nm sees what it has");
    my @bad = grep { !/$allowed/ } @undefined;
    is_deeply(\@bad, [], "$name: calls nothing that it must not");
}

finish();

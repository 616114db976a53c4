# What the benchmarks read out of callgrind's profiles (bench/ImxCount.pm): what
# is the module's, what it calls, and how often.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench";
use Test::More;
use ImxTest;
use ImxCount;

# Two requests: each copies once, asks httpd for an expression, calls the next
# filter; the first one calls a function of its own, too.
mkdir my $dir = work_dir() . '/profiles';
spew("$dir/out-01", "ob=(1) /x/apache2\nfn=(1) main\n1 9000\ntotals: 9000\n");
spew("$dir/out-02", <<'PROFILE');
ob=(1) /x/mod_influx_metrics.so
fn=(1) imx_request_log
10 60
cob=(2) /lib/libc.so.6
cfn=(2) memcpy
calls=2 0
11 16
cob=(3) /x/apache2
cfn=(3) ap_pass_brigade
calls=2 0
12 2000
cob=(3)
cfn=(4) ap_expr_exec
calls=2 0
13 100
cfn=(5) of_its_own
calls=1 0
14 14

fn=(5)
20 14

ob=(3)
fn=(6) ap_run_log_transaction
30 40
cob=(1)
cfn=(1)
calls=2 0
31 2190

totals: 2230
PROFILE

my $sum = ImxCount::totals($dir);
my %is = map { $_ => $sum->{$_} } qw(request own libc whole);
is_deeply(\%is, { request => 2230, own => 90, libc => 16, whole => 190 },
    'the next filter is not what the module needs');
is(ImxCount::own_code($sum, 1), 74, "the module's own code");
is(ImxCount::own_code($sum, 2), 60, '... of functions that are called so often');
is(ImxCount::calls_out($sum, 2), 6, "their calls of others' functions");
is(ImxCount::calls_out($sum, 3), 0, '... of none');

finish();

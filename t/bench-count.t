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
is_deeply([ImxCount::calls_out($sum, 2)], [4, 2],
    "their calls of others' functions, and copies apart");
is_deeply([ImxCount::calls_out($sum, 3)], [0, 0], '... of none');

# Ten requests read the clock by a function that the look at the other clock
# needs, too, three times here: on a busy machine as often as there are requests.
mkdir my $looks = work_dir() . '/looks';
spew("$looks/out-02", <<'PROFILE');
ob=(1) /x/mod_influx_metrics.so
fn=(1) look_at_real_clock
10 9
cfn=(2) read_clock
calls=3 0
11 30

fn=(2)
20 65
cob=(2) /lib/libc.so.6
cfn=(3) clock_gettime
calls=13 0
21 65

fn=(4) imx_request_log
30 40
cfn=(2)
calls=10 0
31 100

totals: 179
PROFILE
is_deeply([ImxCount::calls_out(ImxCount::totals($looks), 10)], [10, 0],
    'a look at the other clock is left out, whoever reads that for it');
is(ImxCount::totals($looks, '02')->{request}, 179, 'a thread that serves alone');

finish();

# A child that tells the parent by its exit status that the whole server must
# end (APEXIT_CHILDFATAL) is heard, also when the monitor's thread hangs.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $so = test_module('fatal');
ok(-e $so, 'the module for this test is made');

for my $mpm (qw(prefork event)) {
    my $h = httpd(mpm => $mpm, module => 1, influx => 'http://127.0.0.1:9',
        children => 2, conf => "LoadModule fatal_module $so");
    my $group = $h->pid;
    is(get($h->url)->{status}, 200, "$mpm: serves");
    $h->put('fatal', '');
    my ($child) = $h->children;
    $h->kill_child($child);     # the next one is fatal
    ok(wait_until(20, sub { !$h->alive }), "$mpm: the server ends")
        or diag join "\n", $h->error_log;
    # A second one may have been started meanwhile, and say the same.
    cmp_ok(scalar(grep { /AH00050: Child \d+ returned a Fatal error/ }
        $h->error_log), '>=', 1, "$mpm: as the child said");
    # httpd leaves its other children behind then.
    kill KILL => -$group;
    ok(wait_until(20, sub { !kill 0 => -$group }), "$mpm: nothing is left");
}

finish();

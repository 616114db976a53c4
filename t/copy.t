# prefork executes a program by a copy of the child, which still has httpd's
# handlers of signals.  When the client goes away at once, mod_cgi ends the copy
# by SIGTERM, before it has executed the program, and the copy ends as the child
# would.  It does not record what the child has yet to log, waits for no thread,
# which it does not have, and leaves the child's row alone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $so = test_module('copy');
ok(-e $so, 'the module for this test is made');

my $db = influxd();
my $h = httpd(mpm => 'prefork', module => 1, influx => $db, children => 1,
    report => 'events', conf => "LoadModule copy_module $so\n"
        . "<Location /copy>\nSetHandler copy\n</Location>");
my ($child) = $h->children;

# In a pipeline the first answer is not yet sent, and so not yet logged, when
# the second request is handled.
my $times = 3;
for (1 .. $times) {
    my $got = raw($h->port, "GET /no HTTP/1.1\r\nHost: x\r\n\r\n"
        . "GET /copy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    like($got, qr/^ended$/m, 'the copy ends by itself');
}
cmp_ok($h->access_count, '>', 2 * $times, 'httpd logs a request in the copy');
count_is($db, 2 * $times, 'each request has one point');

like(get($h->url('/copy?copy'))->{content}, qr/^held\nended$/m,
    'a signal waits until fork() is over in the copy, which ends by it then');

ok($h->kill_child($child), 'the child was still there');
ok(wait_until(20, sub {
    grep { $_->{kind} eq 'child_killed' && $_->{pid} == $child }
        $db->query('SELECT * FROM "server-events"');
}), 'it is known to have been killed');
raw($h->port, "GET /copy?child HTTP/1.0\r\n\r\n");
ok(wait_until(20, sub { grep { /\bheld$/ } $h->error_log }),
    'a signal waits until fork() is over in the child');
ok($h->stop, 'stops');

finish();

# The program of ErrorLog does not read: requests are answered, and delivery goes
# on, also behind an outage.  What was not said is told of when it reads again.
use strict;
use warnings;
use Errno;
use Fcntl qw(O_NONBLOCK O_WRONLY);
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();
$db->query('CREATE DATABASE "httpd"');
my $h = httpd(module => 1, influx => $db, children => 2, figures => 1,
    start => 0, conf => sub { <<"CONF" });
InfluxMetricsInterval 200ms
LogLevel influx_metrics:notice
ErrorLog "|$^X $_[0]{dir}/reader.pl $_[0]{dir}"
CONF
$h->put('reader.pl', <<'PERL');
my ($dir) = @ARGV;
open my $log, '>>', "$dir/error.log" or die;
while (sysread STDIN, my $text, 65536) {
    syswrite $log, $text;
    while (-e "$dir/hang") {
        open my $hangs, '>', "$dir/hangs" or die;
        select undef, undef, undef, 0.05;
    }
}
PERL
$h->start;

sub ask { return get($h->url('/'))->{status} }

# The pipe is the parent's standard error, too.  What is in it already is read
# once more.
sub fill {
    sysopen my $pipe, '/proc/' . $h->pid . '/fd/2', O_WRONLY | O_NONBLOCK
        or die "its standard error: $!";
    syswrite $pipe, "the last one\n";
    wait_until(20, sub { -e "$h->{dir}/hangs" }) or return 0;
    1 while syswrite $pipe, '-' x 4095 . "\n";
    return $!{EAGAIN};
}

is(ask(), 200, 'a request');
figures_are($h, { points_sent => 1 }, 'its point is sent');
$h->put('hang', '');
ok(fill(), 'the log takes nothing any more');
is(ask(), 200, 'a request that nothing is said of is answered');
ok(wait_until(20, sub { figures($h)->{points_pending} == 0 }),
    'points are sent') or diag explain figures($h);
$db->stop;
is(ask(), 200, 'in an outage, too');
ok(wait_until(20, sub { figures($h)->{state} eq 'outage' }),
    'the status page says that there is one') or diag figures($h)->{state};
nap(1);    # for whoever would hang in what is to be said of it
$db->start;
ok(wait_until(60, sub { figures($h)->{points_pending} == 0 }),
    'delivery goes on behind it') or diag explain figures($h);
is(figures($h)->{state}, 'ok', '... and that is said');
unlink "$h->{dir}/hang";
$db->query('DROP DATABASE "httpd"');
ok(wait_until(40, sub {
    ask();
    grep { /IMX0084: \d+ messages of this child were left out/ } $h->error_log;
}), 'what was left out is told of when the log takes messages again');
$h->stop;
finish();

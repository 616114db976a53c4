# InfluxDB 2.x's API: a bucket and a token, stored by VictoriaMetrics, which
# does not look at tokens; so a second httpd before it does.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $vm = victoria();
my $front = httpd(modules => [qw(authz_host proxy proxy_http)], conf =>
    sub { guard('first-token') });

sub guard {
    my ($token) = @_;
    return 'LogFormat "%m %U%q %>s" asked' . "\n"
        . 'CustomLog asked.log asked' . "\n<Location />\n"
        . qq{Require expr "%{HTTP:Authorization} == 'Token $token'"\n}
        . "</Location>\nProxyPass / " . $vm->url('/');
}

my $h = httpd(module => 1, influx => $front->url(''), start => 0);
my $file = $h->secret('token', "first-token\n");
$h->reconf(conf => qq{InfluxMetricsBucket "my org" "web&metrics"\n}
    . "InfluxMetricsTokenFile $file");
$h->start;
load(url => $h->url, n => 300, c => 4);

sub stored {
    return scalar(my @samples = $vm->samples('raw-requests_bytes_sent'));
}

my $n = 0;
ok(wait_until(20, sub { ($n = stored()) == 300 }), '300 requests, 300 samples')
    or diag "$n samples";
my ($sample) = $vm->samples('raw-requests_bytes_sent');
is($sample->{labels}{server}, 'imx.test', 'with their tags');
is($sample->{labels}{status}, '200', 'status, too');
my @asked = split /\n/, slurp($front->dir . '/asked.log');
my @odd = grep { $_ !~ m{^POST /api/v2/write\?} } @asked;
is_deeply(\@odd, [], 'only /api/v2/write was asked for');
like($asked[0], qr/[?&]org=my(?:%20|\+)org(?:&| )/, 'org, encoded');
like($asked[0], qr/[?&]bucket=web%26metrics(?:&| )/, 'bucket, encoded');
like($asked[0], qr/[?&]precision=ns(?:&| )/, 'precision');

# The token is revoked: points wait; the new one is read while httpd runs.
$front->reconf(conf => guard('second-token'));
$front->graceful(gone => 1);
load(url => $h->url, n => 200, c => 4);
ok(wait_until(20, sub { grep { /IMX\d{4}:.*40[13]/ } $h->error_log }),
    'a refused token is told of');
is(stored(), 300, 'and nothing is stored');
$h->secret('token', "second-token\n");
ok(wait_until(60, sub { ($n = stored()) == 500 }),
    'a new token file is read without a restart, nothing is lost')
    or diag "$n samples";
ok(!(grep { /(?:first|second)-token/ } $h->error_log),
    'no token in the error log');
ok($h->stop, 'stops');

finish();

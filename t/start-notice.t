# What the log says at a start: the version, where points go, by which API; and
# a warning when they go to this very server.  The page and its data have the
# version, too.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Sys::Hostname qw(hostname);
use Socket qw(inet_aton inet_ntoa);
use Test::More;

my ($version) = slurp(top() . '/src/base/version.h')
    =~ /IMX_VERSION "([^"]+)"/;

sub said {
    my ($h, $id) = @_;
    return grep { /\b$id:/ } $h->error_log;
}

# Directives, and the end of the notice.
my @cases = (
    ['', 'http://127.0.0.1:9, database "httpd" (API v1), every 1 s'],
    ["InfluxMetricsDatabase web two_weeks\nInfluxMetricsInterval 250ms",
        'http://127.0.0.1:9, database "web", retention policy "two_weeks" '
        . '(API v1), every 250 ms'],
    ['InfluxMetricsBucket org bucket',
        'http://127.0.0.1:9, bucket "bucket" of organization "org" (API v2), '
        . 'every 1 s'],
    ["InfluxMetricsAPI v3\nInfluxMetricsInterval 1min",
        'http://127.0.0.1:9, database "httpd" (API v3), every 60 s'],
    ['InfluxMetricsServer "unix:/run/no.sock|http://localhost"',
        'http://localhost at the socket /run/no.sock, database "httpd" '
        . '(API v1), every 1 s'],
);
my $h = httpd(module => 1, influx => 'http://127.0.0.1:9', start => 0,
    mpm => 'prefork', children => 1, figures => 1);
my $n = 0;
for my $case (@cases) {
    my ($conf, $where) = @$case;
    $h->reconf(conf => $conf);
    $h->configtest;
    is(scalar said($h, 'IMX0017'), $n, 'httpd -t does not say it');
    $n ? $h->graceful : $h->start;
    my @lines = said($h, 'IMX0017');
    is(scalar @lines, ++$n, 'one notice at the ' . ($n > 1 ? 're' : '')
        . 'start');
    like($lines[-1] // '', qr/:notice\].*IMX0017:\ mod_influx_metrics\ \Q$version\E
        \ sends\ to\ \Q$where\E$/x, $where);
}
for my $form (['', qr/>\s*(?:version )?\Q$version\E\s*</],
    ['?json', qr/^ *"version": *"\Q$version\E"/m], ['?text', qr/^version: \Q$version\E$/m]) {
    like(get($h->url("/$form->[0]", 'figures'))->{content}, $form->[1],
        "the version is in /$form->[0]");
}
$h->reconf(influx => undef, conf => 'InfluxMetrics Off');
$h->graceful;
is(scalar said($h, 'IMX0017'), $n, 'none when it is Off');
is(scalar said($h, 'IMX0098'), 1, 'but one that nothing is recorded');
is_deeply([said($h, 'IMX0018')], [], 'no warning so far');

# This very server.
my $port = $h->port;
my $address = eval { inet_ntoa(inet_aton(hostname())) } // '127.0.0.1';
my $all = free_port();
my @own = ("http://127.0.0.1:$port", "http://localhost:$port",
    "http://127.0.0.1:$port/influx", "http://$address:$all",
    'http://' . hostname() . ":$all", "http://127.0.0.1:$all",
    "http://0.0.0.0:$all");
my @others = ('http://127.0.0.1:9', "http://127.0.0.2:$port",
    "http://[::1]:$port", 'http://no-such-host.invalid:' . $port,
    "http://192.0.2.1:$all", "\"unix:/run/no.sock|http://localhost:$port\"");
my $warnings = 0;
for my $url (@own, @others) {
    $h->reconf(influx => $url, conf => "Listen 0.0.0.0:$all");
    $h->graceful;
    my $is_own = grep { $_ eq $url } @own;
    $warnings += $is_own ? 1 : 0;
    my @lines = said($h, 'IMX0018');
    is(scalar @lines, $warnings, "$url: "
        . ($is_own ? 'leads back to this server' : 'leads elsewhere'));
    like($lines[-1] // '', qr/:warn\].*\Q$url\E.*InfluxMetrics Off/,
        "$url: says what to do") if $is_own;
}
ok($h->stop, 'stops');

finish();

# A directive that is given twice in one place: the last one counts, and nothing
# of the one before is left, such as a second argument that only that one has.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use Test::More;

my $influx = ImxStandin->new;
my $h = httpd(module => 1, influx => $influx, children => 1, figures => 1,
    conf => sub { my $dir = $_[0]->dir; <<"CONF" });
InfluxMetricsServer "unix:$dir/no-socket|http://nowhere.test"
InfluxMetricsServer @{[ $influx->url ]}
InfluxMetricsDatabase one a-policy
InfluxMetricsDatabase two
InfluxMetricsMaxBody 64K 3
InfluxMetricsMaxBody 64K
InfluxMetricsWriteLimit 1K 3
InfluxMetricsWriteLimit 64K
InfluxMetricsSpool $dir/spool 1M
InfluxMetricsSpool $dir/spool
InfluxMetricsSample 0.5 slow=1h errors
InfluxMetricsSample 1
InfluxMetricsMeasurement @{[ 'x' x 900 ]}
<Location /influx>
SetHandler influx-metrics-write
InfluxMetrics Off
</Location>
CONF

my $r = http('POST', $h->url('/influx/write?precision=s'),
    { content => join '', map { "items n=$_ 176396160$_\n" } 1 .. 5 });
is($r->{status}, 204, 'InfluxMetricsWriteLimit: five lines are taken')
    or diag $r->{content};
ok(wait_until(20, sub { grep { /^items/ } $influx->lines }),
    'InfluxMetricsServer: they arrive');
my ($with) = grep { $_->{lines} >= 5 } $influx->requests;
ok($with, 'InfluxMetricsMaxBody: in one body');
like(($with // {})->{path} // '', qr/db=two\b(?!.*\brp=)/,
    'InfluxMetricsDatabase: without the policy of the first one');

# More than a spool of 1 MB holds.
$influx->stop;
load(url => $h->url, n => 2_000, c => 4);
is(figures($h)->{points_recorded}, 2_005, 'InfluxMetricsSample: all have points');
ok($h->stop, 'it stops');
my $bytes = 0;
$bytes += -s for glob $h->dir . '/spool/*.lp';
cmp_ok($bytes, '>', 2_000 * 900, "InfluxMetricsSpool: it holds all ($bytes)");

finish();

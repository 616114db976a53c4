# mod_status' page has a section of this module: what is wrong, the points, the
# virtual hosts; as HTML, without tables, and as lines for ?auto.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();
my $hostile = q{<script>"&'};
my $conf = <<'CONF';
<Location /server-status>
SetHandler server-status
InfluxMetrics Off
</Location>
CONF
my $h = httpd(module => 1, influx => $db, figures => 1, modules => ['status'],
    conf => $conf, vhosts => ['shop.test' => '',
        $hostile =~ s/"/\\"/gr => '']);
get($h->url('/', 'shop.test')) for 1 .. 7;
get($h->url('/none', $hostile =~ s/"/\\"/gr));

sub page { return get($h->url("/server-status$_[0]"))->{content} }

sub auto {
    return map { /^(Influx[\w\[\]]+): ?(.*)$/ ? ($1 => $2) : () }
        split /\n/, page('?auto');
}

my %auto;
ok(wait_until(30, sub {
    %auto = auto();
    ($auto{InfluxPointsSent} // 0) == 8
        && grep { /P99$/ } keys %auto;
}), '?auto: the points are there, and percentiles') or diag page('?auto');
is($auto{InfluxPointsRecorded}, 8, '... recorded');
is($auto{"InfluxPoints$_"}, 0, "... $_")
    for qw(Refused Lost Pending Spooled);
like($auto{InfluxLevel}, qr/^(?:well|warning)$/, '... how it goes');
like($auto{InfluxWords}, qr/InfluxDB took the last points/, '... words');
my ($shop) = map { /^(InfluxServer\[\d+\])Name$/
    && $auto{$_} eq 'shop.test' ? $1 : () } keys %auto;
ok($shop, '... the virtual host');
is($auto{"${shop}Requests"}, 7, '... its requests');
is($auto{"${shop}Errors"}, 0, '... and errors');
is(scalar(() = page('?auto') =~ /^InfluxLevel: /mg), 1, '... once');
unlike(page('?auto'), qr/^(?!\S+(?: \S+)*: ?|127\.0\.0\.1$|TLSSession|$).+/m,
    '... and all are lines with names');
ok((grep { /Name$/ && $auto{$_} eq $hostile } keys %auto),
    '... a name is what it is');

my $html = page('');
like($html, qr{<h2>Metrics for InfluxDB</h2>}, 'HTML: a section');
like($html, qr{Points that InfluxDB has: 8<}, '... points');
like($html, qr{<td>shop\.test</td><td>7</td><td>0</td>}, '... the host');
like($html, qr{&lt;script&gt;}, '... names are escaped');
unlike($html, qr{<script>}, '... nothing can run');
my $plain = page('?notable');
like($plain, qr{Points that InfluxDB has: 8<}, '?notable: points');
unlike($plain, qr{<th>p99 ms</th>}, '... and no table');

$db->stop;
get($h->url('/'));
ok(wait_until(30, sub {
    my %a = auto();
    $a{InfluxLevel} eq 'critical'
        && $a{InfluxWords} =~ /^InfluxDB has taken no points for /;
}), 'an outage is said');
$db->start;
ok(wait_until(60, sub { my %a = auto(); $a{InfluxLevel} ne 'critical' }),
    'and is over');
is_deeply([grep { !/IMX0020|IMX0021/ } $h->complaints], [], 'no complaint');

# Where nothing is recorded there is no section.
my $off = httpd(module => 1, modules => ['status'], conf => $conf);
unlike(get($off->url('/server-status'))->{content}, qr/Metrics for InfluxDB/,
    'InfluxMetrics Off everywhere: no section');
ok($h->stop, 'stops');
finish();

# The module in one httpd, in short: with each MPM that it has, every request is
# a point, over a graceful restart, with HTTP/1 and HTTP/2; the phases are there.
# `make compat' runs it with each apxs that it is given, and it then leaves a row for
# docs/compatibility.md in the build directory.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use ImxTest;
use Test::More;

my $db = influxd();
my $place = ImxTest::Httpd::_place();
my ($httpd) = `$place->{program} -v` =~ m{Apache/(\S+)};
ok($httpd, 'the version of httpd');

sub there {
    my ($name) = @_;
    return $place->{static}{$name} || -e "$place->{modules}/mod_$name.so";
}

my @mpms = grep { there("mpm_$_") } qw(event worker prefork);
cmp_ok(scalar @mpms, '>=', 1, 'it has an MPM') or BAIL_OUT('no MPM');
my $http2 = there('http2') && which_one('h2load');
for my $mpm (@mpms) {
    subtest $mpm => sub {
        my $database = "compat_$mpm";
        $db->query("CREATE DATABASE $database");
        my $h2 = $http2 && $mpm ne 'prefork';
        my $h = httpd(module => 1, influx => $db, mpm => $mpm,
            modules => [$h2 ? 'http2' : ()], conf => <<"CONF");
InfluxMetricsDatabase $database
InfluxMetricsFields +server_time +output_time +ttfb
@{[ $h2 ? 'Protocols h2c http/1.1' : '' ]}
CONF
        my $load = client(port => $h->port, c => 4, rate => 100, seconds => 3);
        wait_until(20, sub { $h->access_count > 50 });
        $h->graceful;
        my $r = $load->wait;
        cmp_ok($r->{complete}, '>', 100, 'requests, and a graceful restart');
        if ($h2) {
            my $text = `h2load -n 200 -c 2 -m 10 @{[$h->url]} 2>&1`;
            like($text, qr/200 succeeded/, 'HTTP/2') or diag $text;
        }
        wait_until(20, sub { $h->access_count >= $r->{complete} + ($h2 ? 200 : 0) });
        count_is($db, $h, 'each is a point', database => $database);
        my ($row) = $db->query('SELECT count(request_time) AS r, count('
            . 'application_time) AS a, count(server_time) AS s, '
            . 'count(output_time) AS o FROM "raw-requests"', $database);
        my $n = $h->access_count;
        is($row->{$_}, $n, "with its phases: $_") for qw(r a s o);
        ok($h->stop, 'stops');
        is_deeply([$h->complaints], [], 'the log complains of nothing');
    };
}

if ($ENV{IMX_COMPAT}) {
    my ($curl) = `curl-config --version 2>&1` =~ /(\d[\d.]+)/;
    my ($cc) = `@{[$ENV{CC} // 'cc']} --version` =~ /^(.*)/;
    my ($system) = slurp('/etc/os-release') =~ /^PRETTY_NAME="?([^"\n]+)/m;
    spew(build() . '/compat.txt', '| ' . join(' | ', $system, $httpd,
        $curl // '?', $cc, join(', ', @mpms), $http2 ? 'yes' : 'no')
        . (Test::More->builder->is_passing ? '' : ' | FAILED') . " |\n");
}

finish();

# InfluxMetricsTag hostname of the main server is this host's name in every
# measurement, in the tag process and on the page: in a container the system's
# name is new with each start, and so would be the series.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use IO::Socket::INET;
use POSIX ();
use Test::More;

my $db = influxd();
my $system = (POSIX::uname())[1];
my @intervals = slurp(top() . '/docs/measurements.md') =~ /^## ([a-z]+-[a-z-]+)$/mg;
cmp_ok(scalar @intervals, '>=', 8, 'the manual has measurements');

# By measurement: the values of a tag.
sub values_of {
    my ($database, $key) = @_;
    my %values;
    for (eval { $db->query(qq{SHOW TAG VALUES WITH KEY = "$key"}, $database) }) {
        push @{ $values{ $_->{_name} } }, $_->{value};
    }
    @$_ = sort @$_ for values %values;
    return \%values;
}

# Connects, and is never answered: a slow request.
my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5)
    or die "listen: $!";

for my $tag (qw(slot pid)) {
    my $h = httpd(module => 1, influx => $db, figures => 1,
        modules => ['proxy', 'proxy_http'],
        report => join(' ', map { "$_=1s" }
            qw(requests buckets processes workers slow self pressure)),
        vhosts => ['other.test' => 'InfluxMetricsTag hostname other',
            'gone.test' => 'InfluxMetricsTag hostname'],
        conf => "InfluxMetricsDatabase $tag\nInfluxMetricsTag hostname web-1\n"
            . "InfluxMetricsProcessTag $tag\n"
            . 'ProxyPass /held http://127.0.0.1:' . $silent->sockport . '/');
    my $held = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $h->port) or die "connect: $!";
    $held->syswrite("GET /held HTTP/1.1\r\nHost: imx.test\r\n\r\n");
    # The rows of request-buckets wait for as many requests.
    load(url => $h->url, n => 200, c => 2);
    get($h->url('/', $_)) for qw(other.test gone.test);

    # A child that has just begun has told nothing of itself.
    my ($hosts, %process, @unknown);
    ok(wait_until(30, sub {
        $hosts = values_of($tag, 'hostname');
        %process = %{ values_of($tag, 'process') };
        my %known = map { $_ => 1 } @{ $process{'process-info'} // [] };
        @unknown = grep { !$known{$_} && !/^other:/ }
            @{ $process{'raw-requests'} // ['none'] };
        return !@unknown && !grep { !$hosts->{$_} } 'raw-requests', @intervals;
    }), "$tag: every measurement has points") or diag explain $hosts;
    is_deeply($hosts, { 'raw-requests' => ['other', 'web-1'],
        map { $_ => ['web-1'] } @intervals },
        "$tag: the tag of the main server is in all, that of a virtual host in "
        . 'its points') or diag explain $hosts;
    is_deeply(\@unknown, [], "$tag: process is the same in points and process-info")
        or diag explain \%process;
    is_deeply([grep { !/^web-1:(?:\d+|parent)$/ } @{ $process{'process-info'} }], [],
        "$tag: with the name before it");
    is_deeply([grep { !/^(?:web-1|other):\d+$/ } @{ $process{'raw-requests'} }], [],
        "$tag: in the points of requests, too");
    my @slow = $db->query('SELECT "process" FROM "slow-requests"', $tag);
    like($slow[0]{process}, qr/^web-1:\d+$/, "$tag: and in slow-requests");
    is(figures($h)->{httpd}{name}, 'web-1', "$tag: the page has it");
}

# What is no name of this host: the system's stays.
my $number = 0;
for my $no ('%{HTTP_HOST}', 'x' x 256) {
    my $database = 'no' . ++$number;
    my $h = httpd(module => 1, influx => $db, report => 'self=1s',
        conf => "InfluxMetricsDatabase $database\nInfluxMetricsTag hostname $no");
    my $hosts;
    ok(wait_until(20, sub {
        $hosts = values_of($database, 'hostname')->{'influx-metrics'};
    }), 'there is a point');
    is_deeply($hosts, [$system], 'hostname ' . substr($no, 0, 20) . ': intervals have the system\'s');
}

finish();

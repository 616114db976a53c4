# No points: whoever has only the error log finds the cause, and what to do, of
# each of these.  Real InfluxDBs of version 1 and, where it is there, of 2.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use ImxTest;
use Test::More;

my ($two, $why_not) = influxd2_program();
my $db = influxd(auth => 1, max_series => 20);
my $db2 = $two ? influxd2() : undef;
$db->query($_) for 'CREATE DATABASE httpd', 'CREATE DATABASE full',
    'CREATE DATABASE short', 'CREATE RETENTION POLICY brief ON short DURATION '
    . '1h REPLICATION 1';

# An httpd that has answered a request.  secret: the token or password.
sub server {
    my ($influx, $conf, %o) = @_;
    my $h = httpd(module => 1, influx => $influx, figures => 1, start => 0,
        mpm => 'prefork', children => 2, %o);
    my $file = $h->secret('secret', ($o{secret} // 'wrong') . "\n");
    $h->reconf(conf => $conf =~ s/FILE/$file/r);
    $h->start;
    get($h->url('/'));
    return $h;
}

sub by_password { return "InfluxMetricsUser admin\n"
    . "InfluxMetricsPasswordFile FILE\n$_[0]" }

# The line has the cause and where to look.
sub is_told {
    my ($h, $name, $id, @patterns) = @_;
    my ($line) = ('');
    ok(wait_until(30, sub {
        ($line) = grep { /$id:/ } $h->error_log;
        return defined $line;
    }), "$name: the log tells of it") or diag $h->error_log;
    like($line, $_, "$name: $_") for @patterns;
    $h->stop;
}

sub two(&) {
    my ($test) = @_;
    SKIP: {
        skip "no InfluxDB 2: $why_not", 1 if !$db2;
        $test->();
    }
}

is_told(server('http://127.0.0.1:9', ''), 'no InfluxDB', 'IMX0020',
    qr/127\.0\.0\.1 port 9\b.*onnect/,
    qr/; see InfluxMetricsServer: does InfluxDB run there\?/);

is_told(server($db->url('') =~ s/^http/https/r, ''), 'https to a port of http',
    'IMX0020', qr/; see InfluxMetricsServer: is https spoken at that port\?/);
{
    # A queue that is full: the kernel drops the next ones, as a firewall does.
    my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
        or die "no socket: $!";
    my @waiting = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $full->sockport, Blocking => 0) } 1 .. 5;
    is_told(server('http://127.0.0.1:' . $full->sockport, ''), 'a firewall',
        'IMX0020', qr/after \d+ ms: Timeout/,
        qr/; see InfluxMetricsServer: .* does a firewall let httpd through\?/);
}

is_told(server($db, by_password('')), 'a wrong password', 'IMX0020',
    qr/authorization failed/,
    qr/; see InfluxMetricsUser and InfluxMetricsPasswordFile/);
{
    local $ENV{IMX_TEST_PASSWORD} = 'wrong';
    is_told(server($db, "InfluxMetricsUser admin\n"
        . 'InfluxMetricsPasswordEnv IMX_TEST_PASSWORD'),
        'a wrong password of the environment', 'IMX0020',
        qr/authorization failed/,
        qr/PasswordEnv: a new password takes a stop and a start/);
}
is_told(server($db, ''), 'no password', 'IMX0020',
    qr/unable to parse authentication credentials/,
    qr/InfluxMetricsUser and InfluxMetricsPasswordFile, or for InfluxDB 2/);

is_told(server($db, 'InfluxMetricsTokenFile FILE'), 'a token for InfluxDB 1',
    'IMX0020', qr/unable to parse authentication credentials/,
    qr/; an InfluxDB 1 wants InfluxMetricsUser and InfluxMetricsPasswordFile in/);

my $bucket = 'InfluxMetricsBucket "my org"';
two {
    is_told(server($db2, "$bucket httpd\nInfluxMetricsTokenFile FILE"),
        'a wrong token', 'IMX0020', qr/unauthorized access/,
        qr/; see InfluxMetricsTokenFile$/);
    local $ENV{IMX_TEST_TOKEN} = 'wrong';
    is_told(server($db2, "$bucket httpd\nInfluxMetricsTokenEnv IMX_TEST_TOKEN"),
        'a wrong token of the environment', 'IMX0020', qr/unauthorized access/,
        qr/; see InfluxMetricsTokenEnv: a new token takes a stop and a start/);
    is_told(server($db2, "$bucket nope\nInfluxMetricsTokenFile FILE",
        secret => $db2->token), 'a wrong bucket', 'IMX0020',
        qr/bucket "nope" not found/, qr/; see InfluxMetricsBucket/);
    is_told(server($db2, "InfluxMetricsDatabase nope\nInfluxMetricsTokenFile "
        . 'FILE', secret => $db2->token), 'the API of InfluxDB 1 for 2',
        'IMX0020', qr/dbrp/i, qr/; see InfluxMetricsBucket, which InfluxDB 2/);
    is_told(server($db2, ''), 'nothing for InfluxDB 2', 'IMX0020',
        qr/unauthorized/, qr/or for InfluxDB 2 InfluxMetricsBucket and/);
};
is_told(server($db, "$bucket httpd\nInfluxMetricsTokenFile FILE"),
    'the API of InfluxDB 2 for 1', 'IMX0020', qr/404 page not found/,
    qr/; see InfluxMetricsServer and InfluxMetricsAPI: InfluxDB 1 has no/);
is_told(server($db, "InfluxMetricsAPI v3\nInfluxMetricsTokenFile FILE"),
    'the API of InfluxDB 3 for 1', 'IMX0020', qr/404 page not found/,
    qr/; see InfluxMetricsServer and InfluxMetricsAPI/);

is_told(server($db, by_password('InfluxMetricsDatabase httpd two_weeks'),
    secret => 'secret'), 'no retention policy', 'IMX0020',
    qr/retention policy not found: two_weeks/,
    qr/the retention policy of InfluxMetricsDatabase.*create it, or leave/);

# A tag with a value a request: 20 series are the most.
my $full = server($db, by_password("InfluxMetricsDatabase full\n"
    . "InfluxMetricsTag path %{REQUEST_URI}"), secret => 'secret');
get($full->url("/$_")) for 1 .. 30;
is_told($full, 'database full', 'IMX0022',
    qr/max-series-per-database limit exceeded/,
    qr/see that limit of InfluxDB, InfluxMetricsTags and/);

{
    my $h = httpd(module => 1, children => 1, mpm => 'prefork',
        conf => "InfluxMetricsServer @{[$db->url]}");
    is_told($h, 'On nowhere', 'IMX0098', qr/:notice\]/,
        qr/no request is recorded and nothing is sent; write InfluxMetrics On/);
}

# ---- a clock that is off by an hour, and a bit ----

SKIP: {
    skip 'a sanitizer is preloaded', 1 if $ENV{IMX_PRELOAD};
    my $file = work_dir() . '/clock';
    die "clock.so is not there: run make units\n" if !-e build() . '/unit/clock.so';
    local %ENV = (%ENV, IMX_PRELOAD => build() . '/unit/clock.so',
        IMX_CLOCK => $file);
    for my $hours (1, -2) {
        spew($file, pack 'q', ($hours * 3600 + ($hours <=> 0) * 120) * 1e9);
        my $h = server($db, by_password(''), secret => 'secret');
        my ($word);
        ok(wait_until(20, sub {
            ($word) = grep { $_->{id} eq 'IMX0083' }
                @{ (status($h) // {})->{words} // [] };
        }), 'clock: the page tells of it') or diag explain status($h)->{words};
        like($word->{todo}, qr/clock that is wrong/, 'clock: what to do');
        is_told($h, "clock $hours", 'IMX0083', $hours > 0
            ? qr/clock is 1 hour 2 minutes ahead of that of InfluxDB/
            : qr/clock is 2 hours 2 minutes behind that of InfluxDB/,
            qr/set the clock that is wrong/);
    }
    # Where InfluxDB keeps points for a short time only.
    spew($file, pack 'q', -86400e9);
    my $h = server($db, by_password('InfluxMetricsDatabase short brief'),
        secret => 'secret');
    is_told($h, 'a day behind', 'IMX0022', qr/points beyond retention policy/,
        qr/; see how long InfluxDB keeps points, and this host's clock/);
}

my $small = server('http://127.0.0.1:9', 'InfluxMetricsBufferSize 1M',
    mpm => 'event');
load(url => $small->url, n => 12_000, c => 4);
is_told($small, 'buffer too small', 'IMX0027', qr/the buffer is full: gave up/,
    qr/; see InfluxMetricsBufferSize and InfluxMetricsSpool/);

# ---- the file of the secret ----

SKIP: {
    skip 'only root can start httpd as another user', 1 if $>;
    my $h = server($db, by_password(''), secret => 'secret');
    my $file = $h->dir . '/secret';
    ok(wait_until(20, sub { figures($h)->{points_sent} == 1 }),
        'a password that can be read');
    chown 0, 0, $file;
    my ($ok, $text) = $h->configtest;
    ok(!$ok, 'a password that cannot be read: httpd -t fails');
    like($text, qr/IMX0013: InfluxMetricsPasswordFile: \Q$file\E must be a file .* that the server's user can read .*: Permission denied/,
        'and says why');
    # The server runs on with it, until InfluxDB refuses it.
    $db->query(q{SET PASSWORD FOR admin = 'other'});
    get($h->url('/'));
    is_told($h, 'and while the server runs', 'IMX0026',
        qr/refused cannot be read again by the user that the children run as: /,
        qr/\Q$file\E: Permission denied/);
}

finish();

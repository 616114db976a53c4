# A real InfluxDB 2.7, built by tools/build-influxd.sh: a bucket, a token, and
# each of its answers.  N requests are N points, whatever it says in between.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my ($program, $why) = influxd2_program();
plan skip_all => "no InfluxDB 2: $why" if !$program;

my $db = influxd2();

sub server {
    my ($bucket, $conf, %o) = @_;
    my $h = httpd(module => 1, influx => $db, figures => 1, start => 0, %o);
    my $file = $h->secret('token', ($o{token} // $db->token) . "\n");
    $h->reconf(conf => <<"CONF" . ($conf // ''));
InfluxMetricsBucket "$db->{org}" "$bucket"
InfluxMetricsTokenFile $file
CONF
    return $h->start;
}

sub request { load(url => $_[0]->url, n => $_[1], c => 4) }

sub ours { grep { /IMX00(?!17|29)\d\d:/ } $_[0]->error_log }

sub one_line {
    my ($h, $id, $pattern, $name) = @_;
    my @lines = grep { /$id:/ } ours($h);
    is(scalar @lines, 1, "$name: one line") or diag join "\n", ours($h);
    like($lines[0] // '', $pattern, "$name: in its words");
}

# Kept until somebody mends it, then delivered, with one line for each.
sub kept_then {
    my ($h, $bucket, $before, $pattern, $mend) = @_;
    request($h, 200);
    ok(wait_until(20, sub { grep { /IMX0020:/ } $h->error_log }), 'it is told');
    one_line($h, 'IMX0020', $pattern, 'stopped');
    my $s = figures_are($h, { points_pending => 200, points_rejected => 0 },
        'all are kept');
    is($db->count(undef, $bucket), $before, 'nothing is stored');
    $mend->();
    count_is($db, $before + 200, 'all arrive, without a restart',
        database => $bucket, seconds => 60);
    figures_are($h, { points_pending => 0, points_rejected => 0,
        points_dropped => 0, points_sent => $before + 200 }, 'accounts');
    one_line($h, 'IMX0021', qr/again after [\d.]+ s: \d+ pending, 0 lost/,
        'back');
    is($db->count(undef, $bucket), $before + 200, 'and none twice');
}

for my $gzip (qw(off on)) {
    subtest "a bucket and a token, gzip $gzip" => sub {
        my $bucket = "gzip $gzip";
        $db->make_bucket($bucket);
        my $h = server($bucket, "InfluxMetricsGzip $gzip");
        request($h, 5000);
        count_is($db, 5000, '5000 requests are 5000 points',
            database => $bucket);
        my ($row) = $db->query('SELECT sum(bytes_sent) AS n FROM "raw-requests"'
            . q{ WHERE "method" = 'GET' AND "status" = '200'}, $bucket);
        is($row->{n}, 5000 * length "hello world\n", 'byte for byte');
        figures_are($h, { points_sent => 5000, points_pending => 0,
            last_status => 204 }, 'accounts');
        is_deeply([ours($h)], [], 'without a word');
        ok($h->stop, 'stops');
    };
}

subtest 'another token' => sub {
    $db->make_bucket('token');
    my $h = server('token', undef, token => 'not-the-token');
    kept_then($h, 'token', 0, qr/unauthorized access/,
        sub { $h->secret('token', $db->token . "\n") });
    ok(!(grep { /not-the-token|\Q$db->{token}\E/ } $h->error_log),
        'no token in the log');
};

subtest 'a token that is revoked' => sub {
    $db->make_bucket('revoked');
    my $old = $db->make_token;
    my $h = server('revoked', undef, token => $old->{token});
    request($h, 100);
    count_is($db, 100, 'it is taken', database => 'revoked');
    $db->api('DELETE', "authorizations/$old->{id}");
    kept_then($h, 'revoked', 100, qr/unauthorized access/, sub {
        $h->secret('token', $db->make_token->{token} . "\n");
    });
};

subtest 'a token that may not write' => sub {
    $db->make_bucket('forbidden');
    my $org = $db->api('GET', 'orgs')->{orgs}[0]{id};
    my $reader = $db->api('POST', 'authorizations', { orgID => $org,
        permissions => [{ action => 'read', resource => { type => 'buckets',
            orgID => $org } }] });
    my $h = server('forbidden', undef, token => $reader->{token});
    kept_then($h, 'forbidden', 0, qr/insufficient permissions for write/,
        sub { $h->secret('token', $db->token . "\n") });
};

subtest 'a bucket that is missing' => sub {
    my $h = server('later');
    kept_then($h, 'later', 0, qr/bucket "later" not found/,
        sub { $db->make_bucket('later') });
};

# One vhost writes bytes_sent into a measurement in which it is a float.
subtest 'a field of another type' => sub {
    my $id = $db->make_bucket('types');
    my $h = server('types', undef, vhosts => ['odd.example.org' =>
        'InfluxMetricsMeasurement floats']);
    my $r = http('POST', $db->url('/api/v2/write?org=my%20org&bucket=types'), {
        headers => { Authorization => 'Token ' . $db->token },
        content => 'floats bytes_sent=1.5 ' . time . "000000000\n" });
    is($r->{status}, 204, 'a float is there');
    request($h, 500);
    get($h->url('/index.html?poison', 'odd.example.org'));
    request($h, 499);
    count_is($db, 999, 'the good ones are stored', database => 'types');
    figures_are($h, { points_sent => 999, points_rejected => 1,
        points_pending => 0 }, 'one is refused');
    my $named = 'refused 1 points .*field type conflict.*; one of them: '
        . 'floats,.*server=odd\.example\.org';
    one_line($h, 'IMX0022', qr/$named/, 'and named');
};

subtest 'killed, paused and started' => sub {
    $db->make_bucket('away');
    my $h = server('away', "InfluxMetricsTimeout 1s 2s");
    request($h, 300);
    $db->kill;
    request($h, 300);
    $db->start;
    request($h, 300);
    $db->pause;
    request($h, 300);
    wait_until(20, sub { (figures($h))->{last_error} ne '' });
    $db->resume;
    count_is($db, 1200, 'every point, once', database => 'away',
        seconds => 60);
    figures_are($h, { points_sent => 1200, points_pending => 0 }, 'accounts');
    ok($h->stop, 'stops');
};

finish();

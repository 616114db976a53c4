# https: what is verified, what is said when that fails, and that nothing is
# sent or lost then.  The TLS is httpd's own, in front of a real InfluxDB.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use ImxTls;
use Test::More;

my $db = influxd();
my ($ca, $other) = (ImxTls->new, ImxTls->new);
my @good = $ca->issue('IP:127.0.0.1');
my $clients = "SSLVerifyClient require\nSSLCACertificateFile " . $ca->file;
my @hosts = (
    good => [@good],
    expired => [$ca->issue('IP:127.0.0.1', expired => 1)],
    misnamed => [$ca->issue('DNS:influx.example.org')],
    clients => [@good, $clients],
    clients12 => [@good, "$clients\nSSLProtocol TLSv1.2"],
    old => [@good, 'SSLProtocol TLSv1.1'],
);
my $front = ImxTls::front($db, @hosts);
$front->reconf(conf => 'LogLevel ssl:info')->graceful;
my $right = 'InfluxMetricsTLSCAFile ' . $ca->file . "\n";

# Renamed into place, as an administrator should.
sub replace {
    my ($h, $name, $text) = @_;
    my $new = $h->secret("$name.new", $text);
    rename $new, $h->dir . "/$name" or die "$name: $!";
    return $h->dir . "/$name";
}

# An httpd with a database of its own that delivers to one of the hosts.
my $serial = 0;
sub start {
    my ($host, $conf) = @_;
    my $h = httpd(module => 1, figures => 1, start => 0,
        influx => ImxTls::url($front, $host));
    $h->{database} = 'db' . ++$serial;
    $conf = $conf->($h) if ref $conf;
    $h->reconf(conf => "InfluxMetricsDatabase $h->{database}\n$conf");
    return $h->start;
}

sub ours { grep { /IMX00(?!17)\d\d:/ } $_[0]->error_log }

# Handshakes that failed, as the front saw it.
sub failed { scalar grep { /AH02008/ } $front->error_log }

sub arrive {
    my ($h, $n, $name) = @_;
    count_is($db, $n, $name, database => $h->{database}, seconds => 60);
    figures_are($h, { points_sent => $n, points_pending => 0 }, 'accounts');
}

sub request { load(url => $_[0]->url, n => 100, c => 2) }

# 100 requests: their points are kept, and one line says why.
sub kept {
    my ($h, $reason, $before) = @_;
    $before //= ours($h);
    request($h);
    wait_until(20, sub { ours($h) > $before });
    my @lines = ours($h);
    splice @lines, 0, $before;
    is(scalar @lines, 1, 'one line in the log') or diag join "\n", @lines;
    like($lines[0] // '', qr/:warn\].*IMX0020:.*$reason/, 'says why');
    is($db->count(undef, $h->{database}), 0, 'nothing is sent');
    my $f = accounts_ok($h, 'kept');
    is($f->{points_pending}, $f->{points_recorded}, 'all wait');
}

subtest 'a certificate of the authority that was named' => sub {
    my $h = start('good', $right);
    request($h);
    arrive($h, 100, 'the points arrive');
    is(scalar(grep { !/IMX0025/ } ours($h)), 0, 'without a word');
};

subtest 'no authority named' => sub {
    my $h = start('good', '');
    kept($h, qr/certificate/i);
};

subtest 'another authority' => sub {
    my $h = start('good', sub {
        'InfluxMetricsTLSCAFile ' . replace($_[0], 'ca.pem',
            slurp($other->file)) . "\n";
    });
    kept($h, qr/SSL certificate problem/);
    replace($h, 'ca.pem', slurp($ca->file));
    arrive($h, 100, 'the right one is read without a restart');
    # From a connection that works to an authority that does not fit.
    replace($h, 'ca.pem', slurp($other->file));
    my $failed = failed();
    request($h);
    ok(wait_until(20, sub { failed() > $failed + 1 }),
        'a connection that was good does not outlive its authority');
    is($db->count(undef, $h->{database}), 100, 'nothing is sent');
    replace($h, 'ca.pem', slurp($ca->file));
    arrive($h, 200, 'and back');
};

subtest 'a certificate that has expired' => sub {
    my $h = start('expired', $right);
    kept($h, qr/certificate has expired/);
    my %new = (@hosts, expired => [@good]);
    $front->reconf(vhosts => ImxTls::hosts($db,
        map { $_ => $new{$_} } sort keys %new));
    $front->graceful(gone => 1);
    arrive($h, 100, 'its successor is taken');
};

subtest 'a certificate of another host' => sub {
    my $h = start('misnamed', $right);
    kept($h, qr/does not match|no alternative certificate subject name/);
};

subtest 'TLS 1.1' => sub {
    my $h = start('old', $right);
    kept($h, qr/protocol|alert|SSL/);
};

# Without httpd between: the TLS that InfluxDB 2 itself has.
SKIP: {
    my ($program, $why) = influxd2_program();
    skip "no InfluxDB 2: $why", 1 if !$program;
    subtest 'an InfluxDB 2 with a certificate' => sub {
        my ($cert, $key) = @good;
        my $db2 = influxd2(tls => [$cert, $key], ca => $ca->file);
        my $h = httpd(module => 1, figures => 1, start => 0,
            influx => $db2);
        my $token = $h->secret('token', $db2->token . "\n");
        my $file = replace($h, 'ca.pem', slurp($other->file));
        $h->reconf(conf => qq{InfluxMetricsBucket "$db2->{org}" httpd\n}
            . "InfluxMetricsTokenFile $token\n"
            . "InfluxMetricsTLSCAFile $file")->start;
        request($h);
        ok(wait_until(20, sub { grep { /IMX0020:.*certificate/ } ours($h) }),
            'another authority: nothing is sent');
        is(accounts_ok($h, 'kept')->{points_pending}, 100, 'all wait');
        replace($h, 'ca.pem', slurp($ca->file));
        figures_are($h, { points_sent => 100, points_pending => 0 },
            'the right one is read, and all is sent', seconds => 40);
        is($db2->count, 100, 'and there');
    };
}

subtest 'http where https was meant' => sub {
    my $h = httpd(module => 1, figures => 1, start => 0,
        influx => 'http://127.0.0.1:' . $front->port('good'));
    $h->{database} = 'db' . ++$serial;
    $h->reconf(conf => "InfluxMetricsDatabase $h->{database}")->start;
    kept($h, qr/plain HTTP was sent to a port of HTTPS/);
    $h->reconf(influx => ImxTls::url($front, 'good'),
        conf => "$h->{conf}\n$right");
    $h->graceful(gone => 1);
    arrive($h, 100, 'nothing is lost by that');
};

for my $host (qw(clients clients12)) {
    subtest "a certificate of ours is asked for: $host" => sub {
        my @pair = $ca->issue('DNS:web1.example.org');
        my @wrong = $other->issue('DNS:web1.example.org');
        my $h = start($host, $right);
        kept($h, qr/alert|certificate|handshake|SSL|reset/i);
        replace($h, 'client.pem', slurp($wrong[0]));
        replace($h, 'client.key', slurp($wrong[1]));
        my $dir = $h->dir;
        $h->reconf(conf => $h->{conf} . "\nInfluxMetricsTLSCertificateFile "
            . "$dir/client.pem\nInfluxMetricsTLSCertificateKeyFile "
            . "$dir/client.key");
        my $before = ours($h);
        $h->graceful(gone => 1);
        request($h);
        ok(wait_until(20, sub { # the same outage: not told of again
            figures($h)->{last_error}
                =~ /alert|certificate|handshake|SSL|reset/i
                && figures($h)->{points_pending} == 200;
        }), 'another authority');
        is(scalar(ours($h)), $before, 'one line in the log');
        is($db->count(undef, $h->{database}), 0, 'nothing is sent');
        accounts_ok($h, 'wrong certificate');
        replace($h, 'client.pem', slurp($pair[0]));
        replace($h, 'client.key', slurp($pair[1]));
        arrive($h, 200, 'the right one is read without a restart');
    };
}

finish();

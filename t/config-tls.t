# The directives of TLS and gzip: wrong values stop httpd -t with one sentence.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $h = httpd(module => 1, start => 0);

sub configtest {
    my ($conf) = @_;
    $h->reconf(conf => $conf);
    return $h->configtest;
}

# What is said apart from httpd's own lines about where it stands.
sub said {
    my ($text) = @_;
    return grep { !/^AH00526: Syntax error on line|^AH00014|^Syntax OK|^$/ }
        split /\n/, $text;
}

my $dir = $h->dir;
my $pem = $h->put('some.pem', "PEM\n", 0644);
my $key = $h->secret('some.key', "PEM\n");
my $empty = $h->put('empty', '', 0644);
my $https = "InfluxMetricsServer https://influx.example.org\n";
my $pair = "InfluxMetricsTLSCertificateFile $pem\n"
    . "InfluxMetricsTLSCertificateKeyFile $key\n";
my @files = qw(InfluxMetricsTLSCAFile InfluxMetricsTLSCertificateFile
    InfluxMetricsTLSCertificateKeyFile);

# Configuration, and what the one sentence says.
my @wrong = (
    ['InfluxMetricsGzip maybe', qr/InfluxMetricsGzip.*maybe.*auto, on or off/],
    ['InfluxMetricsGzip on off', qr/InfluxMetricsGzip.*argument/],
    ["$https$pair" . 'InfluxMetricsTLSCertificateKeyFile ""', qr/file/],
    map({ (["$https$_ $dir/absent", qr/$_.*\Q$dir\E.absent.*file.*PEM/],
           ["$https$_ $dir", qr/$_.*\Q$dir\E.*file/],
           ["$https$_ $empty", qr/$_.*\Q$empty\E.*it is empty/]) } @files),
    [$https . "InfluxMetricsTLSCertificateFile $pem",
        qr/IMX0012:.*CertificateFile.*CertificateKeyFile.*need each other/],
    [$https . "InfluxMetricsTLSCertificateKeyFile $key",
        qr/IMX0012:.*CertificateFile.*CertificateKeyFile.*need each other/],
    ["InfluxMetricsTLSCAFile $pem",
        qr{IMX0012:.*InfluxMetricsTLS.*https.*http://127.0.0.1:8086}],
    [$pair, qr{IMX0012:.*InfluxMetricsTLS.*https.*http://127.0.0.1:8086}],
    ["InfluxMetricsServer http://https:1\n$pair", qr/IMX0012:.*http:..https:1/],
);
for my $case (@wrong) {
    my ($conf, $sentence) = @$case;
    my ($ok, $text) = configtest($conf);
    my $shown = (split /\n/, $conf)[-1] =~ s/\Q$dir\E/DIR/r;
    ok(!$ok, "$shown stops httpd -t");
    my @said = said($text);
    is(scalar @said, 1, 'with one sentence') or diag $text;
    like($said[0] // '', $sentence, 'that says why');
}

for my $conf ('InfluxMetricsGzip on', 'InfluxMetricsGzip Off',
    'InfluxMetricsGzip AUTO', "${https}InfluxMetricsTLSCAFile $pem",
    "$https$pair", "$https${pair}InfluxMetricsTLSCAFile $pem\n",
    "$pair$https",                  # in any order
    "${https}InfluxMetricsTLSCAFile some.pem",      # below ServerRoot
) {
    my ($ok, $text) = configtest($conf);
    ok($ok, 'passes: ' . $conf =~ s/\n/; /gr =~ s/\Q$dir\E/DIR/gr)
        or diag $text;
    is_deeply([said($text)], [], 'without a word');
}

for my $line ('InfluxMetricsGzip on', map { "$_ $key" } @files) {
    my ($name) = split / /, $line;
    for my $where ('VirtualHost *:81', 'Location /') {
        my ($section) = split / /, $where;
        my ($ok, $text) = configtest("$https<$where>\n$line\n</$section>");
        ok(!$ok, "$name stops httpd -t in <$section>");
        like($text, qr/\b$name\b.*(?:not allowed|cannot occur|outside)/s,
            'says that it is out of place');
    }
}

# Who can read them?  The certificates are not secret, the key is.
my ($ok, $text) = configtest($https . $pair =~ s/some\.key/some.pem/r);
ok($ok, 'a key that everyone can read passes');
my @said = said($text);
is(scalar @said, 1, 'with one warning');
like($said[0] // '', qr/IMX0010:.*InfluxMetricsTLSCertificateKeyFile.*some\.pem/,
    'that names it');

SKIP: {
    skip 'only root can start httpd as another user', 3 if $>;
    my $closed = $h->put('closed.pem', "PEM\n", 0600);
    for my $name (@files) {
        my $conf = $name eq $files[0] ? '' : $pair;
        (undef, $text) = configtest("$https$conf\n$name $closed");
        like($text, qr/IMX0013:.*\b$name\b.*\Q$closed\E/,
            "$name: the server's user must be able to read it");
    }
}

finish();

# A wrong value stops httpd -t with one sentence that names the directive, the
# value and what is allowed; right ones pass without a word.
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
my $secret = $h->secret('secret', "secret\n");
my $open = $h->put('open-secret', "secret\n", 0644);
my $empty = $h->put('empty-secret', '', 0600);
my $bucket = 'InfluxMetricsBucket org bucket';

# Directive, wrong arguments, and what the sentence has to name besides both
# (the range, the list of words, the form).
my @wrong = (
    [InfluxMetrics => 'maybe', qr/On or Off/i],
    [InfluxMetricsServer => 'ftp://127.0.0.1', qr/http/],
    [InfluxMetricsServer => 'influx.example.org', qr/http/],
    [InfluxMetricsServer => 'http://', qr/http/],
    [InfluxMetricsServer => 'http://127.0.0.1:99999', qr/http|port/],
    [InfluxMetricsServer => 'http://127.0.0.1:x', qr/http|port/],
    [InfluxMetricsServer => 'unix:relative|http://localhost', qr/unix|path/],
    [InfluxMetricsServer => 'unix:/run/influxdb.sock', qr/unix/],
    [InfluxMetricsServer => '""', qr/http/],
    [InfluxMetricsDatabase => '""', qr/name|argument/],
    [InfluxMetricsDatabase => 'a b c', qr/argument/],
    [InfluxMetricsBucket => 'org', qr/argument/],
    [InfluxMetricsBucket => '"" bucket', qr/name|argument/],
    [InfluxMetricsBucket => 'org ""', qr/name|argument/],
    [InfluxMetricsAPI => 'v4', qr/auto.*v1.*v2/],
    [InfluxMetricsAPI => 'v2', qr/InfluxMetricsBucket/],
    [InfluxMetricsTokenFile => "$dir/no-such-file", qr/file/],
    [InfluxMetricsTokenFile => $dir, qr/file/],
    [InfluxMetricsTokenFile => $empty, qr/empty|first line/i],
    [InfluxMetricsUser => '""', qr/name|argument/],
    [InfluxMetricsPasswordFile => "$dir/no-such-file", qr/file/],
    [InfluxMetricsPasswordFile => $empty, qr/empty|first line/i],
    [InfluxMetricsCreateDatabase => 'maybe', qr/On or Off/i],
    [InfluxMetricsInterval => '0', qr/\d ?(?:ms|s)\b/],
    [InfluxMetricsInterval => '-1', qr/\d ?(?:ms|s)\b/],
    [InfluxMetricsInterval => 'often', qr/\d ?(?:ms|s)\b/],
    [InfluxMetricsInterval => '1x', qr/\d ?(?:ms|s)\b/],
    [InfluxMetricsInterval => '1s 2s', qr/argument/],
    [InfluxMetricsTimeout => '2s', qr/argument/],
    [InfluxMetricsTimeout => '0 10s', qr/\d ?(?:ms|s)\b/],
    [InfluxMetricsTimeout => '2s 0', qr/\d ?(?:ms|s)\b/],
    [InfluxMetricsTimeout => 'soon 10s', qr/\d ?(?:ms|s)\b/],
    [InfluxMetricsTimeout => '2s later', qr/\d ?(?:ms|s)\b/],
    [InfluxMetricsShutdownTimeout => '9s', qr/8 ?s/],
    [InfluxMetricsShutdownTimeout => 'never', qr/8 ?s/],
    [InfluxMetricsShutdownTimeout => '-1', qr/8 ?s/],
    [InfluxMetricsBufferSize => '0', qr/\d ?[KMG]/],
    [InfluxMetricsBufferSize => '1K', qr/\d ?[KMG]/],
    [InfluxMetricsBufferSize => '-5M', qr/\d ?[KMG]/],
    [InfluxMetricsBufferSize => 'large', qr/\d ?[KMG]/],
    [InfluxMetricsBufferSize => '99999999G', qr/\d ?[KMG]/],
    [InfluxMetricsBufferSize => '17179869184G', qr/\d ?[KMG]/],
    [InfluxMetricsMaxBody => '0', qr/\d ?[KMG]/],
    [InfluxMetricsMaxBody => 'large', qr/\d ?[KMG]/],
    [InfluxMetricsMaxBody => '4M 0', qr/\d/],
    [InfluxMetricsMaxBody => '4M many', qr/\d/],
    [InfluxMetricsMaxBody => '4M -1', qr/\d/],
    [InfluxMetricsMeasurement => '""', qr/name|argument/],
    [InfluxMetricsMeasurement => '_internal', qr/_/],
    [InfluxMetricsMeasurement => 'x' x 5000, qr/bytes|long/],
    [InfluxMetricsProcessTag => 'name', qr/slot.*pid.*off/],
);

# Words of httpd's own that are as good as naming the value.
my $no_value = qr/argument|On or Off/i;

for my $case (@wrong) {
    my ($directive, $args, $allowed) = @$case;
    my $shown = length $args > 60 ? substr($args, 0, 10) . '...' : $args;
    $shown =~ s/\Q$dir\E/DIR/;
    my ($ok, $text) = configtest("$directive $args");
    ok(!$ok, "$directive $shown stops httpd -t");
    my @said = said($text);
    is(scalar @said, 1, "$directive $shown: one sentence") or diag $text;
    my $line = $said[0] // '';
    like($line, qr/\b$directive\b/, "$directive $shown: names the directive");
    like($line, $allowed, "$directive $shown: says what is allowed");
    next if $line =~ $no_value || $args =~ /"/ || length $args > 60;
    my ($bad) = grep { !/^(?:4M|10s|2s)$/ } split / /, $args;
    like($line, qr/\Q$bad\E/, "$directive $shown: names the value");
}

# Directives of the whole server have no place in a part of it.
for my $line ('InfluxMetricsServer http://127.0.0.1:8086',
    'InfluxMetricsDatabase x', $bucket, 'InfluxMetricsAPI v1',
    "InfluxMetricsTokenFile $secret", 'InfluxMetricsUser u',
    "InfluxMetricsPasswordFile $secret", 'InfluxMetricsCreateDatabase On',
    'InfluxMetricsInterval 1s', 'InfluxMetricsTimeout 1s 2s',
    'InfluxMetricsShutdownTimeout 2s', 'InfluxMetricsBufferSize 8M',
    'InfluxMetricsMaxBody 1M', 'InfluxMetricsProcessTag off') {
    my ($name) = split / /, $line;
    for my $where ('VirtualHost *:81', 'Location /') {
        my ($section) = split / /, $where;
        my ($ok, $text) = configtest("<$where>\n$line\n</$section>");
        ok(!$ok, "$name stops httpd -t in <$section>");
        like($text, qr/\b$name\b.*(?:not allowed|cannot occur|outside)/s,
            "$name: says that it is out of place");
    }
}

for my $right (
    '', 'InfluxMetrics On', 'InfluxMetrics Off',
    'InfluxMetricsServer https://influx.example.org',
    'InfluxMetricsServer http://[::1]:8086',
    'InfluxMetricsServer http://127.0.0.1:8086/',
    'InfluxMetricsServer "unix:/run/influxdb.sock|http://localhost"',
    'InfluxMetricsDatabase "my data" two_weeks',
    $bucket, "$bucket\nInfluxMetricsAPI v2", 'InfluxMetricsAPI auto',
    'InfluxMetricsAPI v1', "$bucket\nInfluxMetricsTokenFile $secret",
    "InfluxMetricsUser u\nInfluxMetricsPasswordFile $secret",
    'InfluxMetricsCreateDatabase Off', 'InfluxMetricsInterval 10',
    'InfluxMetricsInterval 500ms', 'InfluxMetricsInterval 1min',
    'InfluxMetricsTimeout 500ms 5s', 'InfluxMetricsShutdownTimeout 0',
    'InfluxMetricsShutdownTimeout 2s', 'InfluxMetricsBufferSize 8M',
    'InfluxMetricsBufferSize 33554432', 'InfluxMetricsMaxBody 1M',
    'InfluxMetricsMaxBody 1M 5000', 'InfluxMetricsMeasurement "my requests"',
    'InfluxMetricsProcessTag slot', 'InfluxMetricsProcessTag pid',
    'InfluxMetricsProcessTag off',
    "<VirtualHost *:81>\nInfluxMetrics On\nInfluxMetricsMeasurement x\n"
        . '</VirtualHost>',
    "<Location /x>\nInfluxMetrics Off\n</Location>",
) {
    my ($ok, $text) = configtest($right);
    my $shown = $right =~ s/\n/; /gr =~ s/\Q$dir\E/DIR/gr;
    ok($ok, "passes: $shown") or diag $text;
    is_deeply([said($text)], [], 'without a word');
}

# Secrets: who can read them?
for my $directive (qw(InfluxMetricsTokenFile InfluxMetricsPasswordFile)) {
    my $more = $directive =~ /Token/ ? $bucket : 'InfluxMetricsUser u';
    my ($ok, $text) = configtest("$more\n$directive $open");
    ok($ok, "$directive: a file that others can read passes");
    like($text, qr/warn.*\Q$open\E/, "$directive: with a warning");
    like($text, qr/\b$directive\b/, "$directive: that names the directive");
    unlike($text, qr/\bsecret\n|"secret"/, "$directive: and not the secret");

    SKIP: {
        skip 'only root can start httpd as another user', 1 if $>;
        my $root_only = $h->put('root-secret', "secret\n", 0600);
        ($ok, $text) = configtest("$more\n$directive $root_only");
        like($text, qr/\b$directive\b.*\Q$root_only\E/s,
            "$directive: says that the server's user cannot read the file");
    }
}

finish();

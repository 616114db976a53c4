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
    [InfluxMetricsServer => 'http://influx_db$:8086', qr/http/],
    [InfluxMetricsServer => 'http://a;b:8086', qr/http/],
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
    map({ [InfluxMetricsInterval => $_, qr/such as 500ms, 2s or 5min/] }
        '10sheep', '10secs', '1.5s', '5m', '10s.', '500msec', 'ms',
        '10hours', '1d'),
    [InfluxMetricsTimeout => '2s', qr/argument/],
    [InfluxMetricsTimeout => '0 10s', qr/\d ?(?:ms|s)\b/],
    [InfluxMetricsTimeout => '2s 0', qr/\d ?(?:ms|s)\b/],
    [InfluxMetricsTimeout => 'soon 10s', qr/\d ?(?:ms|s)\b/],
    [InfluxMetricsTimeout => '2s 10sheep', qr/such as 500ms, 2s or 5min/],
    [InfluxMetricsTimeout => '2s later', qr/\d ?(?:ms|s)\b/],
    [InfluxMetricsShutdownTimeout => '9s', qr/8 ?s/],
    [InfluxMetricsShutdownTimeout => 'never', qr/8 ?s/],
    [InfluxMetricsShutdownTimeout => '-1', qr/8 ?s/],
    [InfluxMetricsShutdownTimeout => '2seconds', qr/such as 500ms or 2s/],
    [InfluxMetricsBufferSize => '0', qr/such as 32M or 2G/],
    [InfluxMetricsBufferSize => '32MB', qr/such as 32M or 2G/],
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
    map({ [InfluxMetricsSpool => $_, qr/a directory.*DIRECTORY 2G/] }
        '2G', '500M', '1000000', '2gb', 'Off', 'on', 'None'),
    [InfluxMetricsSpool => '""', qr/a directory/],
    [InfluxMetricsSpool => 'spool 2GB', qr/such as 100M or 2G/],
    [InfluxMetricsSpool => 'spool 1K', qr/such as 100M or 2G/],
    [InfluxMetricsMeasurement => '""', qr/name|argument/],
    [InfluxMetricsMeasurement => '_internal', qr/_/],
    [InfluxMetricsMeasurement => 'x' x 5000, qr/bytes|long/],
    map({ [InfluxMetricsMeasurement => $_, qr/another name:.*something else/] }
        (slurp(top() . '/docs/measurements.md') =~ /^## ([a-z]+-[a-z-]+)$/mg),
        '"slow\\-requests"'),
    [InfluxMetricsProcessTag => 'name', qr/slot.*pid.*off/],
    [InfluxMetricsTags => '', qr/none.*hostname.*status/],
    [InfluxMetricsTags => 'hostnam', qr/none.*hostname.*status/],
    [InfluxMetricsTags => '+uri', qr/none.*hostname.*status/],
    [InfluxMetricsTags => '+', qr/none.*hostname.*status/],
    [InfluxMetricsTags => '+-status', qr/all or none of them/],
    [InfluxMetricsTags => 'status +scheme', qr/all or none of them/],
    [InfluxMetricsTags => '+scheme status', qr/all or none of them/],
    [InfluxMetricsTags => 'none status', qr/"none" alone.*hostname.*status/],
    [InfluxMetricsFields => '', qr/none.*request_time.*uri/],
    [InfluxMetricsFields => '+status', qr/none.*request_time.*uri/],
    [InfluxMetricsFields => 'URI', qr/none.*request_time.*uri/],
    [InfluxMetricsFields => '-uri query', qr/all or none of them/],
    [InfluxMetricsTag => '', qr/argument/],
    [InfluxMetricsTag => 'a b c', qr/argument/],
    [InfluxMetricsTag => '"" x', qr/name/],
    [InfluxMetricsTag => '_a x', qr/begin with '_'/],
    [InfluxMetricsTag => 'time x', qr/not "time"/],
    [InfluxMetricsTag => 'uri x', qr/no built-in field/],
    [InfluxMetricsTag => 'sample_rate x', qr/no built-in field/],
    [InfluxMetricsTag => "a\x01b x", qr/control/],
    [InfluxMetricsTag => 'a\\b x', qr/backslash/],
    [InfluxMetricsTag => "a\xffb x", qr/UTF-8/],
    [InfluxMetricsTag => 'n' x 256 . ' x', qr/255 bytes/],
    [InfluxMetricsTag => 'a ' . 'x' x 1025, qr/1024 bytes/],
    [InfluxMetricsTag => 'a "%{REQUEST_URI"', qr/expression/],
    [InfluxMetricsTag => 'a %{NO_SUCH_VARIABLE}', qr/expression/],
    [InfluxMetricsTag => 'a %{no:such}', qr/expression/],
    [InfluxMetricsTag => qq{a "b\tc"}, qr/control/],
    [InfluxMetricsTag => "a b\x01c", qr/control/],
    [InfluxMetricsTag => "a b\x7f", qr/control/],
    [InfluxMetricsTag => 'a expr=%{REQUEST_URI}', qr/without "expr="/],
    [InfluxMetricsTag => 'instance=blue', qr/behind a space/],
    [InfluxMetricsField => 'items=int', qr/behind a space/],
    [InfluxMetricsField => '', qr/argument/],
    [InfluxMetricsField => 'a int', qr/argument/],
    [InfluxMetricsField => 'a int 1 2', qr/argument/],
    [InfluxMetricsField => 'a number 1', qr/int, float, string or bool/],
    [InfluxMetricsField => 'a INT 1', qr/int, float, string or bool/],
    [InfluxMetricsField => '_a int 1', qr/begin with '_'/],
    [InfluxMetricsField => 'time int 1', qr/not "time"/],
    [InfluxMetricsField => 'status int 1', qr/no built-in tag/],
    [InfluxMetricsField => 'query string 1', qr/no built-in field/],
    [InfluxMetricsField => 'a int 1.5', qr/whole number/],
    [InfluxMetricsField => 'a int 9223372036854775808', qr/2\^63/],
    [InfluxMetricsField => 'a int ""', qr/whole number/],
    [InfluxMetricsField => 'a int %D', qr/whole number/],
    [InfluxMetricsField => 'a int " 1"', qr/whole number/],
    [InfluxMetricsField => 'a float 1,5', qr/a number/],
    [InfluxMetricsField => 'a float nan', qr/a number/],
    [InfluxMetricsField => 'a float 1e999', qr/a number/],
    [InfluxMetricsField => 'a bool maybe', qr/true, false, on, off/],
    [InfluxMetricsField => 'a int %{no:such}', qr/expression/],
    [InfluxMetricsField => 'a int "expr=%{resp:X-Items}"',
        qr/without "expr="/],
    [InfluxMetricsRoute => 'a', qr/argument/],
    [InfluxMetricsRoute => 'a ^/ b', qr/argument/],
    [InfluxMetricsRoute => '"" ^/', qr/argument/],
    [InfluxMetricsRoute => 'n' x 256 . ' ^/', qr/1 to 255 bytes/],
    [InfluxMetricsRoute => 'a ^/(', qr/regular expression/],
    [InfluxMetricsRoute => '^/api/ api', qr/NAME REGEX/],
    [InfluxMetricsRoute => '\.php$ php', qr/NAME REGEX/],
    [InfluxMetricsTagLimit => '0', qr/1 to 100000/],
    [InfluxMetricsTagLimit => '100001', qr/1 to 100000/],
    [InfluxMetricsTagLimit => '-1', qr/1 to 100000/],
    [InfluxMetricsTagLimit => 'many', qr/1 to 100000/],
    [InfluxMetricsTagLimit => '1.5', qr/1 to 100000/],
    [InfluxMetricsIf => '', qr/expression/],
    [InfluxMetricsIf => '""', qr/expression/],
    [InfluxMetricsIf => '1==', qr/expression/],
    (map { [InfluxMetricsIf => $_, qr/without "expr="/] }
        'expr=true', '"expr=%{REQUEST_STATUS} != 304"'),
    (map { [InfluxMetricsIf => "true || $_ '/x'", qr/too late here/] }
        qw(-A -F -U)),
    [InfluxMetricsIf => '"true" || false', qr/quotes around/],
    [InfluxMetricsIf => '%{NO_SUCH_VARIABLE}==1', qr/expression/],
    [InfluxMetricsSample => '', qr/argument/],
    [InfluxMetricsSample => '1.1', qr/0 to 1/],
    [InfluxMetricsSample => '-0.1', qr/0 to 1/],
    [InfluxMetricsSample => 'half', qr/0 to 1/],
    [InfluxMetricsSample => '10%', qr/0 to 1/],
    [InfluxMetricsSample => '0.1 fast', qr/slow=TIME or errors/],
    [InfluxMetricsSample => '0.1 slow=', qr/1ms to 24h/],
    [InfluxMetricsSample => '0.1 slow=0', qr/1ms to 24h/],
    [InfluxMetricsSample => '0.1 slow=25h', qr/1ms to 24h/],
    [InfluxMetricsSample => '0.1 slow=500', qr/such as slow=500ms or slow=2s/],
    [InfluxMetricsSample => '0.1 slow=1', qr/such as slow=500ms or slow=2s/],
    [InfluxMetricsSample => '0.1 slow=1s errors errors', qr/argument/],
    [InfluxMetricsUnsetHeader => '', qr/argument/],
    [InfluxMetricsUnsetHeader => '""', qr/header/],
    [InfluxMetricsUnsetHeader => 'X-Items:', qr/header/],
    [InfluxMetricsUnsetHeader => 'X-Items, X-Cache', qr/spaces between/],
    [InfluxMetricsUnsetHeader => '"X Items"', qr/header/],
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
    next if !length $args || $args =~ /[^ -~]|\\/;
    my ($bad) = grep { !/^(?:4M|10s|2s|a|x|int|float|bool|none|0\.1
        |\+scheme|-uri|spool)$/x } split / /, $args;
    like($line, qr/\Q$bad\E/, "$directive $shown: names the value");
}

# Directives of the whole server have no place in a part of it.
for my $line ('InfluxMetricsServer http://127.0.0.1:8086',
    'InfluxMetricsDatabase x', $bucket, 'InfluxMetricsAPI v1',
    "InfluxMetricsTokenFile $secret", 'InfluxMetricsUser u',
    "InfluxMetricsPasswordFile $secret", 'InfluxMetricsCreateDatabase On',
    'InfluxMetricsInterval 1s', 'InfluxMetricsTimeout 1s 2s',
    'InfluxMetricsShutdownTimeout 2s', 'InfluxMetricsBufferSize 8M',
    'InfluxMetricsMaxBody 1M', 'InfluxMetricsProcessTag off',
    'InfluxMetricsTagLimit 5') {
    my ($name) = split / /, $line;
    for my $where ('VirtualHost *:81', 'Location /') {
        my ($section) = split / /, $where;
        my ($ok, $text) = configtest("<$where>\n$line\n</$section>");
        ok(!$ok, "$name stops httpd -t in <$section>");
        like($text, qr/\b$name\b.*(?:not allowed|cannot occur|outside)/s,
            "$name: says that it is out of place");
    }
}

# What is often tried instead of the right directive; the secret is not shown.
for my $case ([InfluxMetricsToken => 'hush 7f3k', qr/InfluxMetricsTokenFile/],
    [InfluxMetricsPassword => 'hush', qr/InfluxMetricsPasswordFile/],
    [InfluxMetricsTLSVerify => 'Off', qr/InfluxMetricsTLSCAFile/]) {
    my ($name, $args, $instead) = @$case;
    for my $conf ("$name $args", "<VirtualHost *:81>\n$name $args\n"
        . '</VirtualHost>', $name) {
        my ($ok, $text) = configtest($conf);
        ok(!$ok, "$name stops httpd -t");
        my @said = said($text);
        is(scalar @said, 1, "$name: one sentence") or diag $text;
        like($said[0] // '', qr/^$name does not exist.*$instead$/,
            "$name: names the right directive");
        unlike($text, qr/hush|7f3k/, "$name: and not the secret");
    }
}

# A password in the URL: it is not shown, whatever else is wrong.
for my $url ('http://admin:7f3k@h:8086', 'https://admin:7f3k@h:8086/?db=x',
    'ftp://admin:7f3k@h', 'http://admin:7f3k@h:port', 'admin:7f3k@h:8086',
    'http://admin:7f3k/x@h:8086', 'unix:admin:7f3k@h|http://h') {
    my ($ok, $text) = configtest("InfluxMetricsServer $url");
    ok(!$ok, "$url stops httpd -t");
    my @said = said($text);
    is(scalar @said, 1, '... with one sentence') or diag $text;
    like($said[0] // '', qr/^InfluxMetricsServer: the URL must not have a user/,
        '... about the password');
    unlike($text, qr/7f3k/, '... that does not show it');
}

# httpd itself would take it for all methods.
for my $line ('InfluxMetrics Off', 'InfluxMetricsTag a b',
    'InfluxMetricsFields +uri', 'InfluxMetricsSample 0',
    'InfluxMetricsIf false', 'InfluxMetricsObjective none',
    'InfluxMetricsUnsetHeader X', 'InfluxMetricsServerTiming On') {
    my ($name) = split / /, $line;
    for my $limit ('Limit', 'LimitExcept') {
        my ($ok, $text) = configtest("<Location /x>\n<$limit POST>\n$line\n"
            . "</$limit>\n</Location>");
        ok(!$ok, "$name stops httpd -t in <$limit>");
        like($text, qr/^$name cannot stand in <Limit>.*all methods.*<If/m,
            '... and says what to use');
    }
}

# A variable that nobody defined.
for my $line ('InfluxMetricsServer http://${UNDEFINED}:8086',
    'InfluxMetricsDatabase ${UNDEFINED}', 'InfluxMetricsBucket o ${UNDEFINED}',
    'InfluxMetricsInterval ${UNDEFINED}', 'InfluxMetricsUser "${UNDEFINED}"',
    'InfluxMetricsTokenFile /etc/${UNDEFINED}/token',
    'InfluxMetricsSpool /var/lib/${UNDEFINED} 2G',
    'InfluxMetricsAPI ${UNDEFINED}', 'InfluxMetricsMeasurement ${UNDEFINED}',
    'InfluxMetricsTag site ${UNDEFINED}', 'InfluxMetricsTags ${UNDEFINED}',
    'InfluxMetricsField n int ${UNDEFINED}',
    'InfluxMetricsRoute ${UNDEFINED} ^/') {
    my ($name) = split / /, $line;
    my ($ok, $text) = configtest($line);
    ok(!$ok, "$line stops httpd -t");
    like($text, qr/\b$name: \$\{UNDEFINED\} has no value: .*Define/,
        "$name: says which variable");
}
{
    my ($ok, $text) = configtest("Define THERE 127.0.0.1\n"
        . 'InfluxMetricsServer http://${THERE}:8086');
    ok($ok, 'one that is defined passes') or diag $text;
    ($ok, $text) = configtest('InfluxMetricsRoute price ^/in\\${1,3}$');
    ok($ok, 'and a regular expression with a dollar') or diag $text;
}

# Two directives that exclude each other, or an API that does not take a name.
for my $case (["InfluxMetricsDatabase d\n$bucket",
        qr/InfluxMetricsDatabase is for.*v1.*InfluxMetricsBucket.*v2/],
    ["$bucket\nInfluxMetricsDatabase d", qr/take one of them out/],
    map { ["InfluxMetricsAPI v3\nInfluxMetricsDatabase $_",
        qr/InfluxMetricsDatabase:.*InfluxDB 3.*letters, digits/] }
        'my.db', '"my db"', '_internal', '-a', "\xc3\xa4", 'a/b') {
    my ($conf, $says) = @$case;
    my ($ok, $text) = configtest($conf);
    ok(!$ok, 'stops httpd -t: ' . $conf =~ s/\n/; /gr =~ s/[^ -~]/?/gr);
    is(scalar(said($text)), 1, 'with one sentence') or diag $text;
    like($text, $says, 'that says why');
}
for my $conf ('InfluxMetricsAPI v3', map {
    "InfluxMetricsAPI v3\nInfluxMetricsDatabase $_" } qw(d my-db my_db 7days)) {
    my ($ok, $text) = configtest($conf);
    ok($ok, 'passes: ' . $conf =~ s/\n/; /gr) or diag $text;
    is_deeply([said($text)], [], 'without a word');
}

# A name means one thing.
for my $lines ("InfluxMetricsTag a x\nInfluxMetricsField a int 1",
    "InfluxMetricsField a int 1\nInfluxMetricsField a float 1",
    "InfluxMetricsField a int 1\n<Location /x>\nInfluxMetricsField a string x"
        . "\n</Location>") {
    my ($ok, $text) = configtest($lines);
    ok(!$ok, 'stops httpd -t: ' . $lines =~ s/\n/; /gr);
    like($text, qr/"a" is not allowed.*one meaning/, 'says why');
}
{
    my @many = map { "InfluxMetricsTag t$_ \"%{REQUEST_URI}\"\n" } 1 .. 62;
    my ($ok, $text) = configtest(join '', @many);
    ok(!$ok, '62 tags that are not constant');
    like($text, qr/InfluxMetricsTag: "t62" .* at most 61/, 'say how many');
    pop @many;
    ($ok, $text) = configtest(join '', @many);
    ok($ok, '61 pass') or diag $text;
}

# Of a server or virtual host, not of a part of it.
for my $line ('InfluxMetricsMeasurement x', 'InfluxMetricsRoute x ^/') {
    my ($name) = split / /, $line;
    my ($ok, $text) = configtest("<Location />\n$line\n</Location>");
    ok(!$ok, "$name stops httpd -t in <Location>");
    like($text, qr/\b$name\b.*(?:not allowed|outside)/s,
        "$name: says that it is out of place");
    ($ok, $text) = configtest("<VirtualHost *:81>\n$line\n</VirtualHost>");
    ok($ok, "$name passes in <VirtualHost>") or diag $text;
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
    'InfluxMetricsInterval 1h',
    'InfluxMetricsInterval 2mi', 'InfluxMetricsSpool spool',
    'InfluxMetricsSpool 2G.spool 2G', 'InfluxMetricsSpool ./2G',
    "SetHandler influx-metrics",
    'InfluxMetricsTimeout 500ms 5s', 'InfluxMetricsShutdownTimeout 0',
    'InfluxMetricsShutdownTimeout 2s', 'InfluxMetricsBufferSize 8M',
    'InfluxMetricsBufferSize 33554432', 'InfluxMetricsMaxBody 1M',
    'InfluxMetricsMaxBody 1M 5000', 'InfluxMetricsMeasurement "my requests"',
    'InfluxMetricsProcessTag slot', 'InfluxMetricsProcessTag pid',
    'InfluxMetricsProcessTag off',
    'InfluxMetricsTags none', 'InfluxMetricsTags status',
    'InfluxMetricsTags +scheme -status', 'InfluxMetricsFields none',
    'InfluxMetricsFields +uri -bytes_sent', 'InfluxMetricsTag a x',
    'InfluxMetricsTag "a, b=c" "x y"', "InfluxMetricsTag \xc3\xa4 x",
    'InfluxMetricsTag a', 'InfluxMetricsTag method x',
    'InfluxMetricsTag a "%{req:X}-%{REQUEST_URI}"', 'InfluxMetricsTag a ""',
    'InfluxMetricsField a int -9223372036854775808',
    'InfluxMetricsField a float 1e-3', 'InfluxMetricsField a string ""',
    'InfluxMetricsField a bool Off', 'InfluxMetricsField a',
    'InfluxMetricsField a int "%{resp:X-Items}"', 'InfluxMetricsRoute a ^/a',
    'InfluxMetricsTagLimit 1', 'InfluxMetricsTagLimit 100000',
    'InfluxMetricsIf true', "InfluxMetricsIf %{REQUEST_METHOD} == 'GET'",
    "InfluxMetricsIf \"%{REQUEST_METHOD} == 'GET'\"",
    'InfluxMetricsSample 0', 'InfluxMetricsSample 1 slow=1ms errors',
    'InfluxMetricsSample 0.001 ERRORS SLOW=24h',
    'InfluxMetricsUnsetHeader X-A X-B',
    "<VirtualHost *:81>\nInfluxMetrics On\nInfluxMetricsMeasurement x\n"
        . '</VirtualHost>',
    "<Location /x>\nInfluxMetrics Off\n</Location>",
) {
    my ($ok, $text) = configtest($right);
    my $shown = $right =~ s/\n/; /gr =~ s/\Q$dir\E/DIR/gr;
    ok($ok, "passes: $shown") or diag $text;
    is_deeply([said($text)], [], 'without a word');
}

# Secrets: is what stands in the file one?
for my $case (["\n", qr/first line|empty/], ["s\0e\0c\0", qr/UTF-16|NUL|byte|control|character/],
    ["\xff\xfes\0e\0", qr/UTF-16|byte|character/], ["se\x01cret\n", qr/byte|control|character/]) {
    my ($content, $says) = @$case;
    my $file = $h->secret('content', $content);
    for my $conf ("$bucket\nInfluxMetricsTokenFile $file",
        "InfluxMetricsUser u\nInfluxMetricsPasswordFile $file") {
        my ($ok, $text) = configtest($conf);
        my ($name) = $conf =~ /(\w+File)/;
        my $shown = $content =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ger;
        ok(!$ok, "$name: a file with $shown stops httpd -t");
        like($text, qr/$name: \Q$file\E.*$says/, "$name: says why");
    }
}
for my $content ("\xef\xbb\xbfsecret\n", "  secret \r\n", "Token secret\n") {
    my $file = $h->secret('content', $content);
    my ($ok, $text) = configtest("$bucket\nInfluxMetricsTokenFile $file");
    ok($ok, 'a token that can be trimmed passes') or diag $text;
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
        ok(!$ok, "$directive: one that only root can read stops httpd -t");
        like($text, qr/\b$directive\b.*\Q$root_only\E.*Permission denied/s,
            "$directive: says that the server's user cannot read the file");
        is(scalar(said($text)), 1, "$directive: one sentence") or diag $text;

        # A directory above it that the user may not enter.
        $h->put('closed/secret', "secret\n", 0644);
        chmod 0700, "$dir/closed";
        ($ok, $text) = configtest("$more\n$directive $dir/closed/secret");
        ok(!$ok, "$directive: in a directory that is closed to the user");
        like($text, qr/\b$directive\b.*closed.secret.*Permission denied/s,
            "$directive: says so");

        # With ChrootDir the children look inside of it.
        $h->put("jail$dir/inside", "secret\n", 0644);
        my $outside = $h->secret('outside', "secret\n");
        ($ok, $text) = configtest("ChrootDir $dir/jail\n$more\n"
            . "$directive $outside");
        ok(!$ok, "$directive: outside of ChrootDir");
        like($text, qr/\b$directive\b.*outside.*inside of ChrootDir \S+jail/s,
            "$directive: says where it is looked for");
        ($ok, $text) = configtest("ChrootDir $dir/jail\n$more\n"
            . "$directive $dir/inside");
        ok($ok, "$directive: inside of it") or diag $text;
    }
}

finish();

# InfluxMetricsQuery: rows of a database become points.  With SQLite: what kinds
# the columns' names say, whatever stands in them; limits; what the log is told;
# and what httpd -t refuses.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxDatabase;
use ImxTest;
use Sys::Hostname qw(hostname);
use Test::More;

my $db = influxd();
my $shop = ImxDatabase::models(ImxDatabase::sqlite(), cat => 12, dog => 7,
    '007' => 1);
$shop->sql(<<'SQL');
CREATE TABLE stock (species text, note text, price, open, at, n);
INSERT INTO stock VALUES ('cat', '12', 3.5, 1, 1700000000.25, 9007199254740993);
INSERT INTO stock VALUES ('dog', 'true', 2, 0, 1700000001, -1);
INSERT INTO stock VALUES (NULL, NULL, 0.1, NULL, 1700000002, NULL);
INSERT INTO stock VALUES ('', '', NULL, NULL, 1700000003, 5);
INSERT INTO stock VALUES ('none', NULL, NULL, NULL, 1700000004, NULL);
CREATE TABLE hostile (k text, note text, n);
INSERT INTO hostile VALUES ('a,b=c d', 'say "hi" \ there', 1);
INSERT INTO hostile VALUES (char(10) || 'evil,x=1 n=666i 1' || char(10), 'two'
    || char(10) || 'evil n=666i', 2);
INSERT INTO hostile VALUES ('end\', 'end\', 3);
INSERT INTO hostile VALUES (CAST(x'ff41' AS text), CAST(x'c328' AS text), 4);
INSERT INTO hostile VALUES (replace(hex(zeroblob(2000)), '00', 'x'),
    replace(hex(zeroblob(20000)), '00', 'y'), 5);
INSERT INTO hostile VALUES ('DROP TABLE hostile; --', '%s%n%(a)d', 6);
INSERT INTO hostile VALUES ('wrong', 'kind', '7.5');
SQL

my %sql = (
    models => 'SELECT species, count(*) AS "int:count" FROM zoo_model '
        . 'GROUP BY species',
    stock => 'SELECT species, note AS "str:note", price AS "float:price", '
        . 'open AS "bool:open", n AS "int:n", at AS "time" FROM stock',
    hostile => 'SELECT k, note AS "str:a note", n AS "int:n" FROM hostile',
    many => 'WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r '
        . 'WHERE i < 1001) SELECT i AS "tag:i", i AS "int:n" FROM r',
    nothing => 'SELECT species, id AS "int:id" FROM zoo_model WHERE id < 0',
    'no table' => 'SELECT * FROM nowhere',
    'no field' => 'SELECT species FROM zoo_model',
    'no kind' => 'SELECT 1 AS "integer:n"',
    twice => 'SELECT species AS a, 1 AS "int:a" FROM zoo_model',
    # SQLite's words repeat what the database has: 8 KB with control characters.
    words => q{SELECT json_extract('{}', char(10) || 'a' || char(27, 13, 10) }
        . q{|| 'IMX0099: b' || hex(zeroblob(4096))) AS "int:n"},
    '"percent" 100 %s' => q{SELECT count(*) AS "int:n" FROM zoo_model }
        . q{WHERE species LIKE 'c%'},
);

sub conf {
    return $shop->conf . join '', map { my $sql = $sql{$_} =~ s/"/\\"/gr;
        my $name = s/"/\\"/gr; qq{InfluxMetricsQuery "$name" 1s "$sql"\n} }
        sort keys %sql;
}

my $h = httpd(module => 1, influx => $db, figures => 1, children => 2,
    modules => ['dbd'], conf => conf());

# Each ran twice at least.
ok(wait_until(20, sub {
    my $s = figures($h);
    $s->{queries_run} >= 12 && $s->{queries_failed} >= 10
}), 'they run, all of them');
my $queried = figures($h)->{points_queried};
ok(wait_until(20, sub { figures($h)->{points_sent} >= $queried }),
    'their points are delivered');

sub rows {
    my ($from) = @_;
    my ($q) = map { s/(["\\])/\\$1/gr } $from;
    my @rows = eval { $db->query(qq{SELECT * FROM "$q"}) };
    delete $_->{_name} for @rows;
    return @rows;
}

# ---- rows ----

my %at;
push @{ $at{$_->{time}} }, $_ for rows('models');
my ($time) = sort keys %at;
is_deeply([sort { $a->{count} <=> $b->{count} } @{ $at{$time} }],
    [{ time => $time, species => '007', count => 1 },
     { time => $time, species => 'dog', count => 7 },
     { time => $time, species => 'cat', count => 12 }],
    'the rows of GROUP BY: the text is a tag, the number a field');
is_deeply([grep { $_ % 1_000_000_000 } keys %at], [],
    'their times are whole intervals');
is_deeply([grep { @{ $at{$_} } != 3 } keys %at], [], 'each with all rows');

is_deeply([sort { $a->{time} <=> $b->{time} } rows('stock')], [
    { time => 1700000000250000000, species => 'cat', note => '12',
        price => 3.5, open => JSON::PP::true, n => 9007199254740993 },
    { time => 1700000001000000000, species => 'dog', note => 'true',
        price => 2, open => JSON::PP::false, n => -1 },
    { time => 1700000002000000000, species => undef, note => undef,
        price => 0.1, open => undef, n => undef },
    { time => 1700000003000000000, species => undef, note => '',
        price => undef, open => undef, n => 5 },
], 'kinds are kept when a text looks like a number; NULL is left out; a row '
    . 'of NULL is none; a time of its own');
my %type = map { ($_->{fieldKey} => $_->{fieldType}) }
    $db->query('SHOW FIELD KEYS FROM stock');
is_deeply(\%type, { note => 'string', price => 'float', open => 'boolean',
    n => 'integer' }, 'the types in InfluxDB');

my %hostile;
$hostile{$_->{n} // 'none'} //= [@$_{'k', 'a note'}] for rows('hostile');
is_deeply(\%hostile, {
    1 => ['a,b=c d', 'say "hi" \ there'],
    2 => [' evil,x=1 n=666i 1 ', 'two evil n=666i'],
    3 => ['end', 'end\\'],
    4 => ["\x{FFFD}A", "\x{FFFD}("],
    5 => ['x' x 1024, 'y' x 1024],
    6 => ['DROP TABLE hostile; --', '%s%n%(a)d'],
    none => ['wrong', 'kind'],
}, 'hostile texts stay in their points');
is(scalar(rows('evil')), 0, 'and make none');
is_deeply([sort map { $_->{n} } do { my %first; grep { !$first{$_->{time}}++ }
    rows('"percent" 100 %s') }], [(12) x (my @n = rows('"percent" 100 %s'))],
    'SQL and names are taken as they are');
my %many;
$many{$_->{time}}++ for rows('many');
is_deeply([grep { $_ != 1000 } values %many], [], 'of 1,001 rows 1,000');

# ---- the account, and the log ----

my $s = figures($h);
cmp_ok($s->{points_queried}, '>=', 1000, "points: $s->{points_queried}");
is($s->{points_recorded}, $s->{points_queried}, 'they are recorded points');
is($s->{points_rejected}, 0, 'InfluxDB refuses none');

# On a busy machine a second can be short.
my @log = grep { /IMX00(?!17|25|29|63)/ } $h->error_log;
for (['IMX0067', 'no table', qr/failed, 1 times .*: no such table: nowhere$/],
    ['IMX0067', 'no field', qr/no column is a field/],
    ['IMX0067', 'no kind', qr/the column "integer:n" begins with none of/],
    ['IMX0067', 'twice', qr/the column "int:a" has the name of another/],
    ['IMX0067', 'words', qr/: [^:]*' a IMX0099: b0{300,400}$/],
    ['IMX0068', 'many', qr/has more than 1000 rows/],
    ['IMX0062', 'hostile', qr/1 values .* left out: the value of "n" is no /]) {
    my ($id, $name, $words) = @$_;
    my @said = grep { /$id: .*"\Q$name\E"/ } @log;
    is(scalar @said, 1, "$name: one line in the log") or diag "@said";
    like($said[0] // '', $words, "$name: it says why");
}
is(scalar @log, 7, 'and nothing else') or diag join "\n", @log;
for my $page ('/', '/?json') {
    my $r = get($h->url($page, 'figures'));
    is($r->{status}, 200, "the status page, $page");
    unlike($r->{content}, qr/nowhere|models\d*\.db/,
        'it shows neither SQL nor DBDParams');
}
ok($h->stop, 'it stops');

# ---- tags of the host ----

$db->query('DROP MEASUREMENT models');
%sql = (models => $sql{models} =~ s/species,/species, 'x' AS region,/r);
$h->reconf(conf => conf() . "InfluxMetricsWriteTags On\n"
    . "InfluxMetricsTag region eu\nInfluxMetricsTag a b\n")->start;
ok(wait_until(20, sub { rows('models') }), 'with InfluxMetricsWriteTags');
my ($row) = rows('models');
is_deeply([@$row{qw(hostname region a)}], [hostname(), 'x', 'b'],
    'points have tags of the host that they lack');
ok($h->stop, 'it stops');

# ---- again after ten minutes, and late ----

SKIP: {
    skip 'a sanitizer is preloaded', 1 if $ENV{IMX_PRELOAD};
    my $file = work_dir() . '/clock';
    spew($file, pack 'q', 0);
    local %ENV = (%ENV, IMX_PRELOAD => build() . '/unit/clock.so',
        IMX_CLOCK => $file, IMX_CLOCK_STEADY => 1);
    my $failed = sub { grep { /IMX0067:/ } $h->error_log };
    $h->put('error.log', '');
    $h->reconf(conf => $shop->conf
        . qq{InfluxMetricsQuery away 1s "SELECT * FROM nowhere"\n}
        . qq{InfluxMetricsQuery daily 24h "SELECT 1 AS \\"int:n\\""\n})->start;
    ok(wait_until(20, sub { figures($h)->{queries_failed} >= 3 }),
        'a query fails three times');
    is(scalar($failed->()), 1, 'it is said once');
    # The file is mapped: it is written in place.
    open my $f, '+<:raw', $file or die "$file: $!";
    syswrite $f, pack 'q', 601_000_000_000;
    close $f;
    ok(wait_until(20, sub { $failed->() == 2 }), 'ten minutes later: again');
    like(($failed->())[-1], qr/failed, ([3-9]|\d\d+) times since/,
        'and how often it failed');
    is(scalar(rows('daily')), 0, 'what is late is not asked')
        if time % 86400 > 120;
    ok($h->stop, 'it stops');
}

# ---- no room ----

# Each run of the one has 300 KB, one of the other 7 MB.
sub texts {
    my ($n, @columns) = @_;
    my $texts = join '', map { qq{, hex(zeroblob(500)) AS \\"str:$_\\"} } @columns;
    return qq{"WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r }
        . qq{WHERE i < $n) SELECT i AS \\"tag:i\\"$texts FROM r"\n};
}
$db->stop;
$h->put('error.log', '');
$h->reconf(conf => $shop->conf . "InfluxMetricsBufferSize 1M\n"
    . 'InfluxMetricsQuery texts 1s ' . texts(300, 's')
    . 'InfluxMetricsQuery huge 1s ' . texts(1000, 'a' .. 'g'))->start;
ok(wait_until(30, sub { grep { /IMX0067: .*"texts".*: the buffer has no room$/ }
    $h->error_log }), 'InfluxDB is away: the buffer is full, and that is said');
ok((grep { /IMX0067: .*"huge".*its rows are more than the buffer/ }
    $h->error_log), 'more than there is room for is refused');
is(figures($h)->{points_queried} % 300, 0, 'a run is taken whole or not at all');
is(figures($h)->{points_dropped}, 0, 'nothing is dropped for it');
my $before = figures($h)->{queries_run};
$db->start;
ok(wait_until(30, sub { figures($h)->{queries_run} > $before + 1 }),
    'it is back, and there is room');
# More comes each second.
my $recorded = figures($h)->{points_recorded};
ok(wait_until(30, sub {
    figures($h)->{points_sent} >= $recorded && rows('texts') }),
    'all is delivered') or diag explain figures($h);
ok($h->stop, 'it stops');

# ---- the configuration ----

sub refused {
    my ($words, $conf, %o) = @_;
    $h->reconf(conf => $shop->conf . $conf, %o);
    my ($ok, $text) = $h->configtest;
    ok(!$ok, 'refused: ' . substr $conf =~ s/\n/ /gr, 0, 60);
    like($text, $words, 'it says why');
}

my $q = qq{"SELECT 1 AS \\"int:n\\""\n};
refused(qr/IMX0069: .*"worker-states" is one that/,
    "InfluxMetricsQuery worker-states 1s $q");
refused(qr/IMX0069: .*"shop" is one that/,
    "InfluxMetricsQuery shop 1s ${q}InfluxMetricsMeasurement shop\n");
refused(qr/"0" is not allowed here, it must be a time from 1s/,
    "InfluxMetricsQuery a 0 $q");
refused(qr/"2d" is not allowed here, it must be a time from 1s/,
    "InfluxMetricsQuery a 2d $q");
refused(qr/must be a query in SQL/, qq{InfluxMetricsQuery a 1s " "\n});
refused(qr/"_a" is not allowed here/, "InfluxMetricsQuery _a 1s $q");
refused(qr/one of at most 32 queries/,
    join '', map { "InfluxMetricsQuery a$_ 1s $q" } 1 .. 33);
refused(qr/must stand outside of <VirtualHost>/,
    "<VirtualHost *:1>\nInfluxMetricsQuery a 1s $q</VirtualHost>\n");
refused(qr/Invalid command 'DBDriver'.*mod_dbd, which is not loaded/, '',
    modules => []);
refused(qr/DBDriver|driver/, "DBDriver nonsense\nInfluxMetricsQuery a 1s $q",
    modules => ['dbd']);

# Nobody who may write .htaccess files can ask the database.
$h->reconf(modules => ['dbd'], conf => sub { $shop->conf
    . "<Directory $_[0]{dir}/htdocs>\nAllowOverride All\n</Directory>\n" })->start;
$h->put('htdocs/mine/.htaccess', "InfluxMetricsQuery a 1s $q");
is(get($h->url('/mine/'))->{status}, 500, 'not in .htaccess');
ok((grep { /InfluxMetricsQuery not allowed here/ } $h->error_log),
    'the log says so');
ok($h->stop, 'it stops');

# Without a database all else works, and says so once.
for (['mod_dbd is not loaded', modules => []],
    ['the main server has no DBDriver', modules => ['dbd']]) {
    my ($words, @o) = @$_;
    $h->reconf(conf => "InfluxMetricsQuery a 1s $q", @o)->put('error.log', '');
    my ($ok, $text) = $h->configtest;
    ok($ok, "httpd -t: $words");
    like($text, qr/IMX0066: $words, so no InfluxMetricsQuery runs/,
        'it says so');
    $h->start;
    ok(wait_until(20, sub { status($h) }), 'httpd serves');
    is(scalar(grep { /IMX0066: $words/ } $h->error_log), 1, 'it is told once');
    ok($h->stop, 'it stops');
}

finish();

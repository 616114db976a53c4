# InfluxMetricsQuery with private servers of PostgreSQL and MariaDB: rows are
# points, whatever the types there; a database that is down when httpd starts,
# that is killed while a query runs, and that asks for a password.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxDatabase;
use ImxTest;
use Test::More;

my $db = influxd();
my $pg = ImxDatabase::models(ImxDatabase::postgres(password => 'secret'),
    cat => 3, dog => 2);
my $maria = ImxDatabase::models(ImxDatabase::maria(), cat => 3, dog => 2);

my $query = 'InfluxMetricsQuery models 1s "SELECT species, count(*) AS '
    . "\\\"int:count\\\" FROM zoo_model GROUP BY species\"\n";

sub server {
    my ($database, $conf) = @_;
    $db->query("CREATE DATABASE $database");
    return httpd(module => 1, influx => $db, figures => 1, children => 2,
        modules => ['dbd'],
        conf => "InfluxMetricsDatabase $database\n$conf");
}

# The rows of one time.
sub rows {
    my ($database, $measurement) = @_;
    my @rows = $db->query("SELECT * FROM $measurement", $database);
    my ($time) = map { $_->{time} } @rows;
    @rows = sort { ($a->{species} // '') cmp ($b->{species} // '') }
        map { delete @$_{qw(time _name)}; $_ }
        grep { $_->{time} == $time } @rows;
    return @rows;
}

sub failures { return grep { /IMX0067:/ } $_[0]->error_log }

# ---- PostgreSQL ----

my $types = q{SELECT 'cat' AS species, 9223372036854775807 AS \"int:large\", }
    . q{1.50::numeric AS \"float:price\", 0.1::real AS \"float:real\", }
    . q{true AS \"bool:open\", '12'::varchar AS \"str:note\", }
    . q{NULL::text AS \"str:null\", 'NaN'::float AS \"float:nan\", }
    . q{interval '1 day' AS \"str:day\", }
    . q{current_setting('application_name') AS \"str:began\"};
my $h = server('pg', $pg->conf('password=secret') . $query
    . "InfluxMetricsQuery types 1s \"$types\"\n"
    . "DBDInitSQL \"SET application_name TO 'init'\"\n");
ok(wait_until(20, sub { figures($h)->{queries_run} >= 4 }),
    'PostgreSQL: queries run');
ok(wait_until(20, sub { rows('pg', 'models') && rows('pg', 'types') }),
    'their points arrive');
is_deeply([rows('pg', 'models')], [{ species => 'cat', count => 3 },
    { species => 'dog', count => 2 }], 'rows of GROUP BY');
is_deeply([rows('pg', 'types')], [{ species => 'cat', price => 1.5,
    large => 9223372036854775807, real => 0.1, open => JSON::PP::true,
    note => '12', day => '1 day', began => 'init' }],
    'types of PostgreSQL; DBDInitSQL comes first');
is_deeply([failures($h)], [], 'none fails');
is_deeply([map { /IMX0062: (.*)/ } $h->error_log],
    ['1 values or rows of the query for "types" are left out: the value of '
        . '"nan" is no number'], 'NaN is left out, and said');

# In the middle of a query.
$h->reconf(conf => "InfluxMetricsDatabase pg\n" . $pg->conf('password=secret')
    . 'InfluxMetricsQuery late 2s "SELECT 1 AS \"int:n\", pg_sleep(1)::text '
    . "AS \\\"str:slept\\\"\"\n")->graceful(gone => 1);
my $active = q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE }
    . q{'%pg_sleep(1)%' AND state = 'active' AND pid <> pg_backend_pid()};
ok(wait_until(20, sub { $pg->value($active) }), 'a query is under way');
$pg->kill;
ok(wait_until(20, sub { failures($h) }), 'the server is killed: it is said');
my ($said) = failures($h);
like($said, qr/"late" failed, 1 times .*: (?:server closed the connection|no conn)/,
    'in the words of the database') or diag $said;
ok(wait_until(20, sub { figures($h)->{queries_failed} >= 3 }),
    'it stays away, and each run fails');
is(scalar(failures($h)), 1, 'that is said once');
my $ran = figures($h)->{queries_run};
$pg->start;
ok(wait_until(20, sub { figures($h)->{queries_run} > $ran }),
    'it is back, and queries run without a restart');
ok($h->stop, 'httpd stops');
is_deeply([grep { !/IMX006[237]/ } $h->complaints], [], 'the error log is clean');

# Down when httpd starts; with mod_dbd's own connections as well, which each
# child of httpd tries to open.
$pg->kill;
for (['Off', ''], ['On', 'of mod_dbd, ']) {
    my ($persist, $what) = @$_;
    my $conf = $pg->conf('password=secret') =~ s/(?<=DBDPersist )\w+/$persist/r;
    $h = server("down$persist", $conf . $query);
    is(get($h->url)->{status}, 200, "DBDPersist $persist: httpd serves");
    ok(wait_until(20, sub { failures($h) }), 'the query fails');
    like((failures($h))[0], qr/no connection: .*Connection refused/,
        'it is said why');
    $persist eq 'On'
        ? ok((grep { /AH00636: child init failed/ } $h->error_log),
            'and mod_dbd complains')
        : is_deeply([grep { !/IMX006[37]/ } $h->complaints], [],
            'nobody complains but the module');
    $pg->start;
    ok(wait_until(20, sub { eval { rows("down$persist", 'models') } }),
        'the database starts, and points come');
    ok($h->stop, 'httpd stops');
    $pg->kill;
}
$pg->start;

# A password.  The last two are mistakes in DBDParams, of which libpq repeats a
# part.
for (['', qr/no password supplied/], ['password=wrong',
        qr/password authentication failed for user "shop"/],
    ['password=top secret', qr/missing "=" after "\*\*\*" in connection info/],
    ['password=x sslmode=wrong', qr/invalid sslmode value: "wrong"/]) {
    my ($password, $words) = @$_;
    $h = server('asks', $pg->conf($password) . $query);
    ok(wait_until(20, sub { failures($h) }),
        'password: ' . ($password || 'none'));
    like((failures($h))[0], $words, 'it is said why');
    unlike(join('', $h->error_log), qr/secret|(?<!: ")wrong/, 'and no password');
    ok($h->stop, 'httpd stops');
}
$pg->stop;

# ---- MariaDB ----

$types = q{SELECT 'cat' AS species, CAST(7 AS unsigned) AS \"int:n\", }
    . q{1.50 AS \"float:price\", 1 = 1 AS \"bool:open\", '12' AS \"str:note\", }
    . q{NULL AS \"str:null\", unix_timestamp('2026-01-01') AS \"time\"};
$h = server('maria', $maria->conf . $query
    . "InfluxMetricsQuery types 1s \"$types\"\n");
ok(wait_until(20, sub { figures($h)->{queries_run} >= 4 }),
    'MariaDB: queries run');
ok(wait_until(20, sub { rows('maria', 'models') && rows('maria', 'types') }),
    'their points arrive');
is_deeply([rows('maria', 'models')], [{ species => 'cat', count => 3 },
    { species => 'dog', count => 2 }], 'rows of GROUP BY');
is_deeply([rows('maria', 'types')], [{ species => 'cat', n => 7,
    price => 1.5, open => JSON::PP::true, note => '12' }], 'types of MariaDB');

# A cut answer, one whose columns are wrong, and one that the server ends in the
# middle: they are not read to their end.
$h->reconf(conf => "InfluxMetricsDatabase maria\n" . $maria->conf
    . qq{DBDInitSQL "SET SESSION max_statement_time=1"\n}
    . join '', map { my $s = $_->[1] =~ s/"/\\"/gr;
        qq{InfluxMetricsQuery $_->[0] 2s "$s"\n} }
        ['many', 'SELECT seq AS "tag:i", seq AS "int:n" FROM seq_1_to_50000'],
        ['columns', 'SELECT seq AS a FROM seq_1_to_50000'],
        ['ended', 'SELECT seq AS "tag:i", repeat(1, 1000 + 0 * sleep(0.01)) '
            . 'AS "str:s" FROM seq_1_to_900'])->graceful(gone => 1);
ok(wait_until(20, sub { my $s = figures($h);
    $s->{queries_run} >= 2 && $s->{queries_failed} >= 4 }),
    'MariaDB: answers that are not read to their end');
ok(wait_until(20, sub { rows('maria', 'many') == 1000 }), 'of 50,000 rows 1,000');
my @said = failures($h);
is(scalar(grep { /"columns" failed, .*no column is a field/ } @said), 1,
    'wrong columns: it is said once');
is(scalar(grep { /"ended" failed, .*max_statement_time/ } @said), 1,
    'an answer that ends in the middle is a failure, and said once');
is_deeply([grep { /exit signal/ } $h->error_log], [], 'nobody crashes');
$maria->kill;
ok(wait_until(20, sub { failures($h) }), 'it is killed: the query fails');
like((failures($h))[0], qr/failed, 1 times .*: \w/, 'it is said why');
ok($h->stop, 'httpd stops');
is_deeply([grep { !/IMX006[378]/ } $h->complaints], [], 'the error log is clean');

finish();

# docs/querying.md: every query of it is taken from there and asked, in InfluxQL
# of InfluxDB 1 and 2, in Flux and in SQL, of the points of a real httpd.  None
# may fail or have no answer, and each answer is held against the access log.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxDataFusion;
use ImxTest;
use List::Util qw(max sum0);
use POSIX qw(ceil);
use Test::More;

my ($influxd2, $why_not_2) = influxd2_program();
my ($datafusion, $why_no_sql) = datafusion_program();

# ---- the page ----

my %blocks;     # title => language => [text, ...]
for my $section (split /^(?=## )/m, slurp(top() . '/docs/querying.md')) {
    my ($title) = $section =~ /^## (.*)$/m or next;
    push @{ $blocks{$title}{$1} }, $2
        while $section =~ /^```(\w+)\n(.*?)^```$/gms;
}
my ($conf) = @{ (delete $blocks{'What is asked'})->{apache} };
my @policies = @{ (delete $blocks{'How long points are kept'})->{influxql} };
my $less = delete $blocks{Downsampling};
my %recipes = map { ($_ => $blocks{$_}) } grep { keys %{ $blocks{$_} } }
    keys %blocks;
cmp_ok(scalar keys %recipes, '>=', 12, 'the page has recipes');

# ---- requests whose number and time is known ----

my $work = <<'LUA';
require 'apache2'
function handle(r)
    local us, status = r.args:match('(%d+),(%d+)')
    r.usleep(tonumber(us))
    if status ~= '200' then
        return tonumber(status)
    end
    r.content_type = 'text/plain'
    r:puts(string.rep('x', 100 + us % 1000))
    return apache2.OK
end
LUA

# Virtual host, how many, path, name of the program.
my ($person, $bot) = ('Mozilla/5.0', 'Mozilla/5.0 (compatible; ExampleBot/2.1)');
my @asked = (
    [['shop.test', 40, '/cart?3000,200', $person],
        ['shop.test', 3, '/cart?600000,200', $person]],
    [['shop.test', 20, '/search?40000,200', $person],
        ['shop.test', 4, '/search?160000,200', $person],
        ['shop.test', 10, '/cart?1000,500', $bot]],
    [['shop.test', 1, '/search?2300000,200', $person]],
    [['static.test', 60, '/page.txt', $person],
        ['static.test', 15, '/page.txt', $bot],
        ['static.test', 12, '/missing', $bot], ['static.test', 5, '/gone', $person],
        ['sampled.test', 60, '/page.txt', $person]],
);
my $requests = sum0(map { $_->[1] } map { @$_ } @asked);

sub ask {
    my ($h) = @_;
    return map {
        my $some = $_;
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            for my $of (@$some) {
                my ($vhost, $n, $path, $agent) = @$of;
                my $one = "GET $path HTTP/1.1\r\nHost: $vhost\r\n"
                    . "User-Agent: $agent\r\n";
                # httpd closes a connection behind a 500.
                my $each = $path =~ /,500/ ? 1 : $n;
                raw($h->port($vhost), "$one\r\n" x ($each - 1)
                    . "${one}Connection: close\r\n\r\n", timeout => 60)
                    for 1 .. $n / $each;
            }
            POSIX::_exit(0);
        }
        $pid;
    } @asked;
}

sub shop {
    my ($db, $to) = @_;
    my $h = httpd(module => 1, influx => $db, modules => ['lua'], children => 2,
        threads => 8, report => 'none requests=1s buckets=1s', start => 0,
        vhosts => ['shop.test' => '', 'static.test' => '',
            'sampled.test' => 'InfluxMetricsSample 0.5']);
    $h->put('work.lua', $work);
    $h->put('htdocs/page.txt', "a page\n");
    $h->reconf(conf => "LuaScope thread\nLuaMapHandler ^/(?:cart|search) "
        . $h->dir . "/work.lua handle\n$conf" . $to->($h));
    return $h->start;
}

# The page's policies come first: points go to the default one.
my $db = influxd();
$db->query('CREATE DATABASE httpd');
$db->query($_) for @policies;
my %policy = map { ($_->{name} => $_) }
    $db->query('SHOW RETENTION POLICIES ON "httpd"');
is($policy{two_weeks}{duration}, '336h0m0s', 'a policy of two weeks');
ok($policy{two_weeks}{default}, '... is the default one');
is($policy{five_years}{duration}, '43680h0m0s', 'another one of 260');

my @shops = ([$db, shop($db, sub { '' })]);
if ($influxd2) {
    my $db2 = influxd2();
    push @shops, [$db2, shop($db2, sub {
        my $file = $_[0]->secret('token', $db2->token . "\n");
        return qq{InfluxMetricsBucket "$db2->{org}" httpd\n}
            . "InfluxMetricsTokenFile $file\n";
    })];
}
waitpid $_, 0 for map { ask($_->[1]) } @shops;
for my $of (@shops) {
    my ($engine, $h) = @$of;
    ok($h->stop, 'httpd stops, and writes what it has counted');
    is($h->access_count, $requests, 'all requests were answered');
    my $n = -1;
    ok(wait_until(20, sub {
        ($n) = map { $_->{n} } $engine->query(
            'SELECT sum("total") AS n FROM "request-buckets" '
            . q{WHERE "le" = '+Inf'});
        return ($n // 0) == $requests;
    }), 'all are counted') or diag $n // 'none';
}

# ---- what the access log says ----

sub by {
    my ($column, $value, @log) = @_;
    my %sum;
    $sum{ $column->($_) // '-' } += $value->($_) for @log;
    return \%sum;
}

my $server = sub { $_[0]{server} };
my $path = sub { $_[0]{path} };
my $one = sub { 1 };
my $seconds = sub { $_[0]{us} / 1e6 };
chomp(my $host = `hostname`);

sub part {
    my ($some, $all, $factor) = @_;
    return { map { ($_ => $factor * ($some->{$_} // 0) / $all->{$_}) }
        keys %$all };
}

sub percentile {
    my ($q, @log) = @_;
    my @sorted = sort { $a <=> $b } map { $_->{us} / 1e6 } @log;
    return $sorted[ceil($q * @sorted) - 1];
}

sub within { my ($s, @log) = @_; return grep { $_->{us} <= 1e6 * $s } @log }

# Of what the sample has left out there is no point.
sub recorded { return grep { $_->{server} ne 'sampled.test' } @_ }

# What a recipe gives: by which column, which one is the figure, what the figures
# of the minutes add up to, and what is true.  may: how far it may be off, as a
# part and in all; log and point take the time at different moments.
my %judge = (
    'Requests a second' => { key => 'server', value => 'rate', each => 60,
        truth => sub { by($server, $one, @_) } },
    'Share of errors' => { key => 'server', value => 'errors', truth => sub {
        part(by($server, $one, grep { $_->{status} >= 500 } @_),
            by($server, $one, @_), 100) } },
    'Slowest routes' => { key => 'route', value => 'mean', may => [0.1, 0.003],
        order => 1, truth => sub {
            my $route = sub { $_[0]{path} =~ m{^/(cart|search)} ? $1 : 'unmatched' };
            part(by($route, $seconds, @_), by($route, $one, @_), 1) } },
    '95th percentile by host' => { key => 'hostname', value => 'p95',
        may => [0.044, 0.003], flux => [0.091, 0.003],
        truth => sub { +{ $host => percentile(0.95, @_) } } },
    'Mean concurrency' => { key => 'server', value => 'concurrency', each => 60,
        may => [0.1, 0.3], truth => sub { by($server, $seconds, @_) } },
    'Bytes by host' => { key => 'hostname', value => 'bytes',
        truth => sub { by(sub { $host }, sub { $_[0]{bytes} }, @_) } },
    'Apdex' => { value => 'apdex', truth => sub {
        +{ '' => (within(0.5, @_) + within(2, @_)) / 2 / @_ } } },
    'Burn rate of an objective' => { value => 'burn', truth => sub {
        my $good = grep { $_->{status} < 500 } within(0.1, @_);
        return { '' => (1 - $good / @_) / 0.001 };
    } },
    'Top paths' => { key => 'path', value => 'n', order => 1,
        truth => sub { by($path, $one, recorded(@_)) } },
    'Not found' => { key => 'path', value => 'n', order => 1, truth => sub {
        by($path, $one, grep { $_->{status} == 404 } recorded(@_)) } },
    'Bots' => { key => 'server', value => 'n', truth => sub {
        +{ 'shop.test' => 10, 'static.test' => 27 } } },
    # Random: twice the points that there are.
    'Points that are a sample' => { value => 'requests', truth => sub {
        +{ '' => 2 * $db->{sampled} } } },
);

is_deeply([sort keys %recipes], [sort keys %judge], 'each recipe is judged');

# ---- asking ----

# The figures of an answer, by what they are of; paths as the sample leaves them.
sub figures_of {
    my ($j, @rows) = @_;
    my (%sum, @order);
    for my $row (@rows) {
        my $value = $row->{ $j->{value} } // $row->{_value};
        next if !defined $value || $value eq '';
        my $of = $j->{key} ? $row->{ $j->{key} } // '-' : '';
        push @order, $value;
        $sum{$of} += $value * ($j->{each} // 1);
    }
    return (\%sum, \@order);
}

sub is_answer {
    my ($name, $j, $may, $true, @rows) = @_;
    my ($is, $order) = figures_of($j, @rows);
    is_deeply([sort keys %$is], [sort keys %$true], "$name: of what")
        or return diag explain \@rows;
    my ($part, $all) = @{ $may // [1e-9, 1e-9] };
    is_deeply([map { "$_: $is->{$_}, not $true->{$_}" } grep {
        abs($is->{$_} - $true->{$_}) > $part * abs($true->{$_}) + $all
    } sort keys %$true], [], "$name: as the access log has it");
    is_deeply($order, [sort { $b <=> $a } @$order], "$name: the largest first")
        if $j->{order} && $name !~ /InfluxQL/;
    return;
}

# InfluxDB 1 gives the rows of top() in the order of their times.
sub ask_all {
    my ($name, $language, $ask, $h) = @_;
    my @log = $h->access_log;
    for my $title (sort keys %recipes) {
        my @queries = @{ $recipes{$title}{$language} // [] };
        is(scalar @queries, 1, "$name: $title: one query") or next;
        my @rows = eval { $ask->(@queries) };
        is($@, '', "$name: $title: no error") or next;
        ok(scalar @rows, "$name: $title: not empty") or next;
        my $j = $judge{$title};
        is_answer("$name: $title", $j, $j->{$language} // $j->{may},
            $j->{truth}->(@log), @rows);
    }
}

# How many points the sample has.
sub take_sample {
    my ($engine) = @_;
    ($db->{sampled}) = map { $_->{n} } $engine->query('SELECT '
        . 'count("sample_rate") AS n FROM "raw-requests"');
    cmp_ok($db->{sampled}, '>', 0, 'some points are a sample');
    cmp_ok($db->{sampled}, '<', 60, '... and not all');
    return;
}

# Paths in the sample are points, too: they are asked without it.
sub without_sample {
    my ($language, $query) = @_;
    return $query if $query !~ /raw-requests/ || $query =~ /sample_rate/;
    $query =~ s/WHERE/WHERE "server" <> 'sampled.test' AND/
        or $query =~ s/(r\._measurement == "raw-requests")/$1 and r.server != "sampled.test"/
        or die "no place for a condition: $query";
    return $query;
}

take_sample($db);
ask_all('InfluxQL of InfluxDB 1', 'influxql',
    sub { $db->query(without_sample('influxql', @_)) }, $shops[0][1]);

SKIP: {
    skip "no SQL: $why_no_sql", 1 if !$datafusion;
    my $sql = ImxDataFusion->new($datafusion);
    $sql->copy($db);
    ask_all('SQL', 'sql', sub { $sql->query(without_sample('sql', @_)) },
        $shops[0][1]);
}

# ---- sums of each hour ----

sub sums_are {
    my ($name, $h, $row) = @_;
    my @log = $h->access_log;
    is($row->{n}, scalar @log, "$name: requests");
    is($row->{bytes}, sum0(map { $_->{bytes} } @log), "$name: bytes");
}

my @continuous = @{ $less->{influxql} };
is(scalar @continuous, 2, 'two continuous queries');
$db->query($_) for @continuous;
is(scalar(grep { $_->{query} } $db->query('SHOW CONTINUOUS QUERIES')), 2,
    'InfluxDB 1 takes them');
for my $text (@continuous) {
    my ($select) = $text =~ /BEGIN\s+(.*?)\s+END/s or die $text;
    $select =~ s/GROUP BY/WHERE time > now() - 1h GROUP BY/;
    my ($written) = $db->query($select);
    cmp_ok($written->{written}, '>', 0, 'what they do each hour');
}
sums_are('InfluxDB 1', $shops[0][1], $db->query('SELECT sum("request_count") '
    . 'AS n, sum("bytes_sent") AS bytes FROM "five_years"."request-hours"'));
my ($rows) = $db->query('SELECT sum("count") AS n FROM '
    . '"five_years"."bucket-hours"');
is($rows->{n}, $requests, 'InfluxDB 1: the histogram');

SKIP: {
    skip "no InfluxDB 2: $why_not_2", 1 if !$influxd2;
    my ($db2, $h) = @{ $shops[1] };
    take_sample($db2);
    ask_all('InfluxQL of InfluxDB 2', 'influxql',
        sub { $db2->query(without_sample('influxql', @_)) }, $h);
    ask_all('Flux', 'flux', sub { $db2->flux(without_sample('flux', @_)) }, $h);

    my ($task) = @{ $less->{flux} };
    $db2->make_bucket('httpd-hours');
    my $id = $db2->api('POST', 'tasks', { org => $db2->{org},
        status => 'active', flux => $task })->{id};
    # A task's now() is the last whole second, and ends its range; the last
    # points have the end of their second, before which httpd may have stopped.
    my $now = time;
    ok(wait_until(10, sub { time >= $now + 2 }), 'all points are of the past');
    my $run = $db2->api('POST', "tasks/$id/runs", {});
    my $state = '';
    ok(wait_until(30, sub {
        $state = eval { $db2->api('GET',
            "tasks/$id/runs/$run->{id}")->{status} } // '';
        return $state =~ /^(?:success|failed|canceled)$/;
    }), 'the task runs');
    is($state, 'success', '... well') or diag explain
        $db2->api('GET', "tasks/$id/runs/$run->{id}/logs");
    my %sum = map { ($_->{_field} => $_->{_value}) } $db2->flux(
        'from(bucket: "httpd-hours") |> range(start: -3h) '
        . '|> filter(fn: (r) => r._field == "request_count" '
        . 'or r._field == "bytes_sent") |> group(columns: ["_field"]) |> sum()');
    sums_are('InfluxDB 2', $h, { n => $sum{request_count},
        bytes => $sum{bytes_sent} });
}

finish();

# Every query of every panel, alert rule and variable in dashboards/, as Grafana
# sends it: InfluxQL to InfluxDB 1 and 2, Flux to InfluxDB 2, SQL to DataFusion,
# the engine of InfluxDB 3; filled by a real httpd with all measurements.  An
# error or an empty answer is a panel that says "no data".  What two languages
# say of the same points must be the same.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxBoards;
use ImxDataFusion;
use ImxEngines;
use ImxTest;
use ImxTraffic;
use List::Util qw(max sum0);
use POSIX qw(ceil);
use Test::More;

my ($influxd2, $why_not_2) = influxd2_program();
my ($datafusion, $why_no_sql) = datafusion_program();

# ---- an httpd for each InfluxDB, under the same load ----

my $db = influxd();
my $db2 = $influxd2 ? influxd2() : undef;
my @filled = ([$db, traffic_httpd($db, '1s')],
    $db2 ? [$db2, traffic_httpd($db2, '1s', conf => sub {
        my $file = $_[0]->secret('token', $db2->token . "\n");
        return qq{InfluxMetricsBucket "$db2->{org}" httpd\n}
            . "InfluxMetricsTokenFile $file\n";
    })] : ());
my @loads = map { traffic_start($_->[1], 8, 20) } @filled;
nap(3);
traffic_upset($_->[1]) for @filled;
$_->wait for @loads;

sub is_told {
    my ($engine) = @_;
    my %kind = map { ($_->{kind} => 1) } eval { $engine->query(
        'SELECT "kind", "text" FROM "server-events"') };
    return $kind{graceful} && $kind{child_killed}
        && $engine->count('slow-requests', undef, 'elapsed');
}

# Each request is in both.
sub is_counted {
    my ($engine) = @_;
    my %sum;
    for my $of (['request-metrics', 'request_count'], ['request-buckets', 'count']) {
        my ($row) = eval { $engine->query(
            qq{SELECT sum("$of->[1]") AS n FROM "$of->[0]"}) };
        $sum{ $row->{n} // 0 }++;
    }
    return keys %sum == 1 && !$sum{0};
}

for my $of (@filled) {
    my ($engine, $httpd) = @$of;
    ok(wait_until(60, sub { is_told($engine) }), 'what happened is told');
    ok($httpd->stop, 'httpd stops');
    ok(wait_until(30, sub { is_counted($engine) }), 'all is counted');
}

# A host that has written nothing for ten minutes.
my ($host) = map { $_->{value} } $db->query(
    'SHOW TAG VALUES FROM "request-metrics" WITH KEY = "hostname"');
$_->[0]->write('influx-metrics,hostname=gone uptime=7i,dropped=0i '
    . (time - 600) . '000000000') for @filled;

my $from = 60 * (int(time / 60) - 15);
my $to = 60 * ceil((time + 1) / 60);
my %context = (from => $from, to => $to, interval => 10,
    prefer => { host => $host, server => 'shop.example.org', route => 'cart' });

# ---- asking ----

# What is not drawn: names, times, and what Grafana leaves out.
my %IS_NAME = map { ($_ => 1) } qw(time server hostname le process route status
    kind table result _name key name method uri waits_for text tags);

# A phase is called "server", too.
sub values_of {
    my ($row) = @_;
    return grep { defined && length } map { $row->{$_} } grep {
        !$IS_NAME{$_} && !/^_(?!value$)/
            || $_ eq 'server' && ($row->{$_} // '') =~ /^[\d.e-]+$/
    } keys %$row;
}

my %OFFERED = (
    host => qr/\b\Q$host\E\b/, route => qr/^(?:cart search unmatched)?$/,
    server => qr/^api\.example\.org shop\.example\.org static\.example\.org$/,
    measurement => qr/\braw-requests\b/, policy => qr/^autogen$/,
    bucket => qr/\bhttpd\b/, route_column => qr/^route$/,
    rate_column => qr/^sample_rate$/,
);

# The values that a variable is offered, as Grafana takes them from an answer.
sub offered {
    my ($name, $ask, $v, $query) = @_;
    my @rows = eval { $ask->($query) };
    is($@, '', "$name: the variable $v->{name}: no error");
    my @values = sort map {
        my $row = $_;
        my ($column) = grep { exists $row->{$_} } qw(_value value name),
            grep { !/^_/ } keys %$row;
        $row->{$column};
    } @rows;
    like("@values", $OFFERED{ $v->{name} }, "$name: the variable $v->{name}")
        or diag($query);
    return @values;
}

# Everything of a language; returns the sums of what is drawn, by panel.
sub ask_all {
    my ($language, $name, $ask, %can_be_empty) = @_;
    my %sum;
    for my $board (boards($language)) {
        for my $case (qw(all one)) {
            my $title = "$name: $board->{board}{title} ($case)";
            my $values = choose($board, $case,
                sub { offered($title, $ask, @_) }, \%context);
            for my $q (queries($board)) {
                my $interval = max(10, $q->{interval});
                my $text = filled($language, $q->{query}, { %context,
                    interval => $interval, values => $values });
                my @rows = eval { $ask->($text) };
                next if $can_be_empty{ $q->{name} };
                is($@, '', "$title: $q->{name}: no error");
                my @drawn = map { values_of($_) } @rows;
                @drawn = @rows if $q->{name} =~ /^annotation/;
                ok(scalar @drawn, "$title: $q->{name}: not empty")
                    or diag($text);
                all_servers_are_there($title, @rows)
                    if $title =~ /Raw Requests \(all\)/
                    && $q->{name} eq 'Requests a second A'
                    && $q->{panel}{type} eq 'timeseries';
                $sum{"$board->{board}{title} ($case): $q->{name}"}
                    = sum0(grep { /^-?[\d.]+(?:e[-+]?\d+)?$/i } @drawn)
                    if $q->{panel} && $q->{panel}{type} ne 'table';
            }
        }
    }
    for my $rule (alert_rules($language)) {
        for my $q (alert_queries($rule)) {
            my $text = filled($language, $q->{query},
                { from => $to - $q->{seconds} - 60, to => $to, interval => 60 });
            my @rows = eval { $ask->($text) };
            is($@, '', "$name: alert $q->{name}: no error");
            ok((scalar map { values_of($_) } @rows),
                "$name: alert $q->{name}: not empty") or diag($text);
            silent_host_is_seen($name, @rows)
                if $rule->{title} =~ /^No points/;
        }
    }
    return \%sum;
}

# Only one of them has routes: All is all.
sub all_servers_are_there {
    my ($title, @rows) = @_;
    my %seen = map { ($_->{server} => 1) } @rows;
    return is(join(' ', sort keys %seen),
        'api.example.org shop.example.org static.example.org',
        "$title: with and without a route");
}

# It had no points in the last five minutes; the others had.
sub silent_host_is_seen {
    my ($name, @rows) = @_;
    my %points = map { ($_->{hostname} => (values_of($_))[0]) } @rows;
    is($points{gone}, 0, "$name: the silent host has no points");
    cmp_ok($points{$host}, '>', 0, "$name: the other one has");
}

# Flux interpolates within a bucket.
sub same {
    my ($name, $this, $that) = @_;
    my @differ = grep {
        my ($a, $b) = ($this->{$_}, $that->{$_} // 'nan');
        my $may = /p\d\d|Percentiles|Response time/ ? 0.1 : 1e-6;
        !(abs($a - $b) <= $may * max(abs $a, abs $b));
    } sort keys %$this;
    return is_deeply([map { "$_: $this->{$_} $that->{$_}" } @differ], [],
        "$name: the same in " . keys(%$this) . ' panels');
}

# Kernels and containers differ in what they tell.
sub absent {
    my ($engine) = @_;
    my %has = map { ($_->{fieldKey} => 1) }
        $engine->query('SHOW FIELD KEYS FROM "resource-pressure"');
    return (
        ($has{memory_current} ? () : ('Memory of the cgroup A' => 1)),
        ($has{cpu_some} ? () : ('Pressure A' => 1)),
    );
}

my $influxql = ask_all('influxql', 'InfluxDB 1', sub { $db->query(@_) },
    absent($db));

SKIP: {
    skip "no SQL: $why_no_sql", 1 if !$datafusion;
    my $sql = ImxDataFusion->new($datafusion);
    $sql->copy($db);
    same('InfluxQL and SQL', $influxql,
        ask_all('sql', 'DataFusion', sub { $sql->query(@_) }, absent($db)));
    # A table without routes has no such column.
    my ($board) = grep { $_->{board}{title} eq 'Raw Requests' } boards('sql');
    my ($column) = grep { $_->{name} eq 'route_column' }
        @{ $board->{board}{templating}{list} };
    is_deeply([map { $_->{name} } $sql->query(filled('sql', $column->{query},
        { %context, values => { measurement => { values => ['worker-states'] } } }))],
        [q{''}], 'SQL: what stands for a column that is not there');
}

SKIP: {
    skip "no InfluxDB 2: $why_not_2", 1 if !$db2;
    same('InfluxQL and Flux', ask_all('influxql', 'InfluxDB 2',
        sub { $db2->query(@_) }, absent($db2)), ask_all('flux', 'Flux',
        sub { $db2->flux(@_) }, absent($db2)));
}

# ---- rates of points ----

# InfluxDB 1 cuts a whole number that is divided by another one, in a subquery:
# 115 requests in ten seconds are 11.5 a second.  A point with a sample_rate
# stands for more than one.
sub rates_have_fractions {
    my ($engine, $name) = @_;
    my ($board) = grep { $_->{board}{title} eq 'Raw Requests' }
        boards('influxql');
    my @rates = grep { $_->{name} =~ /^Requests a second A$/ } queries($board);
    is(scalar @rates, 2, 'two panels of rates');
    my $begin = (int(time / 10) - 30) * 10;
    for my $case ([115, 0], [5, 0], [3, 7], [0, 4]) {
        my ($whole, $sampled) = @$case;
        my $base = "rate${whole}_$sampled";
        $engine->query("CREATE DATABASE $base");
        $engine->write(join('', map { 'raw-requests,hostname=h,server=s '
            . 'request_time=0.1' . ($_ > $whole ? ',sample_rate=0.1' : '')
            . ' ' . ($begin * 1_000_000_000 + $_) . "\n" }
            1 .. $whole + $sampled), $base);
        my %values = map { ($_->[0] => { values => [$_->[1]] }) }
            ['host', 'h'], ['server', 's'], ['policy', 'autogen'],
            ['measurement', 'raw-requests'];
        $values{route} = { all => '.*' };    # nothing there has this tag
        for my $q (@rates) {
            my ($row) = $engine->query(filled('influxql', $q->{query},
                { from => $begin, to => $begin + 10, interval => 10,
                    values => \%values }), $base);
            my ($rate) = $row ? values_of($row) : ();
            cmp_ok(abs(($rate // -1) - ($whole + 10 * $sampled) / 10), '<', 1e-9,
                "$name: $whole points, and $sampled of a tenth: a second") or diag explain $row;
        }
    }
}

rates_have_fractions($db, 'InfluxDB 1.6');
SKIP: {
    my ($program, $why) = engine('influxd1');
    skip $why, 1 if !$program;
    rates_have_fractions(influxd_new(), 'InfluxDB 1.8');
}
finish();

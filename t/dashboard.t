# Every query of the dashboard is run on a real InfluxDB, filled by a real httpd
# with the module, as Grafana would send it: an error or an empty answer is a
# panel that says "no data".
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxEngines;
use ImxTest;
use JSON::PP ();
use Test::More;

my $file = top() . '/dashboards/raw-requests.json';
my $dashboard = JSON::PP::decode_json(slurp($file));
my @variables = @{ $dashboard->{templating}{list} };
my @queries = panel_queries(@{ $dashboard->{panels} });

is($dashboard->{refresh}, '5s', 'refreshes every 5 s');
is("@{[ map { $_->{name} } @variables ]}", 'host server', 'variables');
cmp_ok(scalar @queries, '>=', 5, 'the panels have queries')
    or BAIL_OUT("no queries found in $file");
datasource_is_provisioned();

my $db = influxd();
my $httpd = httpd(module => 1, influx => $db,
    vhosts => ['one.example.org' => '', 'two.example.org' => '']);
load(url => $httpd->url('/', $_), n => 200) for 'one.example.org',
    'two.example.org';
count_is($db, 400, 'points to show');

# First with everything chosen, then with one value of each.
my %chosen = (all => {}, one => {});
for my $v (@variables) {
    my ($name, $query) = @$v{qw(name query)};
    my @values;
    for my $case (qw(all one)) {
        @values = map { $_->{value} } run("$name ($case)", $query,
            $chosen{$case});
        $chosen{$case}{$name} = $case eq 'all' ? $v->{allValue}
            : quotemeta($values[0] // '');
    }
    is("@values", 'one.example.org two.example.org',
        'server offers the virtual hosts') if $name eq 'server';
}
for my $case (qw(all one)) {
    run("$_->{title} ($case)", $_->{query}, $chosen{$case}) for @queries;
}
my ($of_one) = map { $_->{query} } grep { $_->{query} =~ /"server" fill/ }
    @queries;
is_deeply([map { $_->{server} } run('rates of one', $of_one, $chosen{one}, 1)],
    ['one.example.org'], 'a chosen server is the only one shown');
rates_have_fractions($db);
SKIP: {
    my ($program, $why) = engine('influxd1');
    skip $why, 1 if !$program;
    rates_have_fractions(influxd_new());
}
finish();

# InfluxDB 1 cuts a whole number that is divided by another one, in a subquery:
# 115 requests in ten seconds are 11.5 a second, and 5 are 0.5.
sub rates_have_fractions {
    my ($engine) = @_;
    my $begin = (int(time / 10) - 30) * 10;
    for my $n (115, 5) {
        my $name = "rate$n";
        $engine->query("CREATE DATABASE $name");
        my $lines = join '', map { 'raw-requests,hostname=h,server=s '
            . 'request_time=0.1 ' . ($begin * 1_000_000_000 + $_) . "\n" } 1 .. $n;
        is(http('POST', $engine->url("/write?db=$name"),
            { content => $lines })->{status}, 204, "$n points in ten seconds");
        my %chosen = (host => 'h', server => 's', __interval_ms => 10_000,
            __interval => '10s', timeFilter => "time >= ${begin}s and time < "
            . ($begin + 10) . 's');
        for my $q (grep { $_->{query} =~ /count\(/ } @queries) {
            my ($row) = $engine->query(filled($q->{query}, \%chosen), $name);
            my ($rate) = map { $row->{$_} } grep { /^(?:mean|count)/ } keys %$row;
            cmp_ok(abs(($rate // -1) - $n / 10), '<', 1e-9,
                "$q->{title}: " . $n / 10 . ' a second') or diag explain $row;
        }
    }
}

# Panels may stand in rows.
sub panel_queries {
    return map {
        my $title = $_->{title};
        (panel_queries(@{ $_->{panels} // [] }),
            map { { title => "$title $_->{refId}", query => $_->{query} } }
            @{ $_->{targets} // [] });
    } @_;
}

# As Grafana fills them in for a range of 15 minutes.
sub filled {
    my ($query, $chosen) = @_;
    my %macro = (
        timeFilter => 'time >= now() - 15m and time <= now()',
        __interval_ms => 2000,
        __interval => '2s',
        %$chosen,
    );
    return $query =~ s/\$(\w+)/$macro{$1} \/\/ die "\$$1 is not known: $query"/gre;
}

# Runs a query; passes if it answers with something that can be drawn.
sub run {
    my ($name, $query, $chosen, $distinct) = @_;
    my @rows = eval { $db->query(filled($query, $chosen)) };
    is($@, '', "$name: no error");
    my @shown = grep {
        my $row = $_;
        grep { $row->{$_} } grep { !/^(?:time|key|server|_name)$/ } keys %$row;
    } @rows;
    ok(scalar @shown, "$name: not empty") or diag($query);
    return @shown if !$distinct;
    my %seen;
    return grep { !$seen{ $_->{server} }++ } @shown;
}

sub datasource_is_provisioned {
    my ($provisioned) = slurp(top()
        . '/dashboards/provisioning/datasources/influxdb.yaml')
        =~ /^\s+uid: (\S+)$/m;
    my %used = map { $_->{datasource}{uid} => 1 } @variables,
        @{ $dashboard->{panels} }, map { @{ $_->{targets} } }
        @{ $dashboard->{panels} };
    is_deeply([keys %used], [$provisioned], 'its datasource is provisioned');
}

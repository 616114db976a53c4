package Language;
#
# What differs between InfluxQL, Flux and SQL: the words in braces that queries
# are written with, the variables, and a query's form in Grafana.
#
use strict;
use warnings;

our @ALL = qw(influxql flux sql);

# The provisioned data sources.
our %SOURCE = (
    influxql => { uid => 'influx-metrics', name => 'httpd metrics' },
    flux => { uid => 'influx-metrics-flux', name => 'httpd metrics (Flux)' },
    sql => { uid => 'influx-metrics-sql', name => 'httpd metrics (SQL)' },
);

# The tags of a measurement that variables of dashboards choose.
my %CHOSEN = (
    '${measurement:raw}' => [qw(host server route)],
    'request-metrics' => [qw(host server route)],
    'request-buckets' => [qw(host server route)],
    'slow-requests' => [qw(host server)],
    'worker-states' => ['host'], 'process-info' => ['host'],
    'resource-pressure' => ['host'], 'server-events' => ['host'],
    'influx-metrics' => ['host'],
);
my %TAG = (host => 'hostname', server => 'server', route => 'route');

sub _chosen {
    my ($measurement) = @_;
    return @{ $CHOSEN{$measurement}
        // die "nothing is known of the measurement $measurement\n" };
}

# {from M} in dashboards, {all-of M} in alerts, which know no variables.
my %FROM = (
    influxql => sub {
        my ($m) = @_;
        return join ' AND ', qq{FROM "\${policy:raw}"."$m" WHERE \$timeFilter},
            map { qq{"$TAG{$_}" =~ /^\${$_:regex}\$/} } _chosen($m);
    },
    flux => sub {
        my ($m) = @_;
        my @tags = _chosen($m);
        my $text = join ' and ', qq{r._measurement == "$m"},
            map { qq{r.$TAG{$_} =~ /^\${$_:regex}\$/} }
            grep { $_ ne 'route' } @tags;
        $text = <<"FLUX" . "    |> filter(fn: (r) => $text)";
from(bucket: "\${bucket:raw}")
    |> range(start: v.timeRangeStart, stop: v.timeRangeStop)
FLUX
        # Without InfluxMetricsRoute there is no such tag.
        $text .= "\n    |> filter(fn: (r) => (if exists r.route then r.route"
            . ' else "") =~ /^${route:regex}$/)' if grep { $_ eq 'route' } @tags;
        return $text;
    },
    sql => sub {
        my ($m) = @_;
        my %column = (route => q{COALESCE(${route_column:raw}, '')});
        return join ' AND ', qq{FROM "$m" WHERE \$__timeFilter(time)},
            map { ($column{$_} // $TAG{$_}) . " ~ '^\${$_:regex}\$'" }
            _chosen($m);
    },
);
my %ALL_OF = (
    influxql => sub { qq{FROM "$_[0]" WHERE \$timeFilter} },
    flux => sub { <<"FLUX" . qq{    |> filter(fn: (r) => r._measurement == "$_[0]")} },
from(bucket: v.defaultBucket)
    |> range(start: v.timeRangeStart, stop: v.timeRangeStop)
FLUX
    sql => sub { qq{FROM "$_[0]" WHERE \$__timeFilter(time)} },
);

# Flux's longer words; the measurement stays, as Grafana takes a table without
# it for one without series.
sub _columns { return join ', ', map { qq{"$_"} } '_measurement', @_ }

my %FLUX = (
    fields => sub {
        return '    |> filter(fn: (r) => '
            . join(' or ', map { qq{r._field == "$_"} } @_) . ')';
    },
    by => sub { '    |> group(columns: [' . _columns(@_) . '])' },
    # {each sum server}: of each interval
    each => sub {
        my ($function, @by) = @_;
        return '    |> group(columns: [' . _columns(@by) . "])\n"
            . "    |> aggregateWindow(every: v.windowPeriod, fn: $function, "
            . 'timeSrc: "_start", createEmpty: false)';
    },
    # {total _field}: the sum over all others, after "each"
    total => sub {
        return '    |> group(columns: [' . _columns('_time', @_) . "])\n"
            . "    |> sum()\n"
            . '    |> group(columns: [' . _columns(@_) . "])\n"
            . '    |> sort(columns: ["_time"])';
    },
    # The fields side by side, as r.NAME
    wide => sub {
        return '    |> pivot(rowKey: ["_time", ' . _columns(@_)
            . '], columnKey: ["_field"], valueColumn: "_value")';
    },
);

# {value EXPRESSION | tags} makes the series that are drawn.
sub _flux_value {
    my ($text) = @_;
    my ($expression, $by) = split / \| /, $text;
    my @by = split ' ', $by // '';
    return "    |> map(fn: (r) => ({_time: r._time, _measurement: "
        . 'r._measurement, ' . join('', map { "$_: r.$_, " } @by)
        . "_value: $expression}))\n" . $FLUX{by}->(@by);
}

# A column that may not be there (see hidden).
my %SQL_WORD = (sample_rate => 'COALESCE(${rate_column:raw}, 1.0)');

my $text_of_word = qr/(?:\$\{[^}]+\}|[^}])+/;

# The words in braces, filled in; %given: those of this query.
sub fill {
    my ($language, $query, %given) = @_;
    %given = (%SQL_WORD, %given) if $language eq 'sql';
    $query =~ s/(?<!\$)\{(\w+)\}/$given{$1} \/\/ "{$1}"/ge;
    $query =~ s/\{from ($text_of_word)\}/$FROM{$language}->($1)/ge;
    $query =~ s/\{all-of ($text_of_word)\}/$ALL_OF{$language}->($1)/ge;
    if ($language eq 'flux') {
        $query =~ s/[ ]*\{value ($text_of_word)\}/_flux_value($1)/ge;
        $query =~ s/[ ]*(?<!\$)\{(fields|by|each|total|wide)([ \w]*)\}/
            $FLUX{$1}->(split ' ', $2)/gex;
    }
    # Only Flux wants lines.
    return $language eq 'flux' ? $query =~ s/^\|>/    |>/gmr
        : $query =~ s/\n\s*/ /gr;
}

# A query as a target of a panel; alias: the name of its series.
sub target {
    my ($language, $ref, $query, %o) = @_;
    my $format = $o{is_table} ? 'table' : 'time_series';
    return {
        refId => $ref,
        ($o{datasource} ? (datasource => $o{datasource}) : ()),
        $language eq 'influxql' ? (query => $query, rawQuery => \1,
            resultFormat => $format, ($o{alias} ? (alias => $o{alias}) : ()))
        : $language eq 'flux' ? (query => $query)
        : (rawSql => $query, rawQuery => \1, format => $format,
            editorMode => 'code'),
    };
}

# ---- variables ----

# The values of a tag: of those hosts (and servers) that are chosen.
sub values_of_tag {
    my ($language, $name, $measurement, @given) = @_;
    my $tag = $TAG{$name};
    if ($language eq 'influxql') {
        return qq{SHOW TAG VALUES FROM "$measurement" WITH KEY = "$tag"}
            . (@given ? ' WHERE ' . join(' AND ',
                map { qq{"$TAG{$_}" =~ /^\${$_:regex}\$/} } @given) : '');
    }
    if ($language eq 'flux') {
        my $where = join ' and ', qq{r._measurement == "$measurement"},
            map { qq{r.$TAG{$_} =~ /^\${$_:regex}\$/} } @given;
        return qq{import "influxdata/influxdb/schema"\n}
            . qq{schema.tagValues(bucket: "\${bucket:raw}", tag: "$tag", }
            . "predicate: (r) => $where)";
    }
    my $column = $name eq 'route' ? '${route_column:raw}' : $tag;
    return qq{SELECT DISTINCT $column AS "$tag" FROM "$measurement" }
        . join(' AND ', 'WHERE $__timeFilter(time)', "$column <> ''",
            map { "$TAG{$_} ~ '^\${$_:regex}\$'" } @given)
        . ' ORDER BY 1';
}

# Where the points are: retention policy, bucket, or nothing to choose.
sub place {
    my ($language) = @_;
    return { name => 'policy', label => 'Retention policy',
        query => 'SHOW RETENTION POLICIES' } if $language eq 'influxql';
    return { name => 'bucket', label => 'Bucket',
        query => 'buckets() |> filter(fn: (r) => r.name !~ /^_/) '
            . '|> rename(columns: {name: "_value"}) '
            . '|> keep(columns: ["_value"])' } if $language eq 'flux';
    return;
}

# All measurements; a regular expression of Grafana's leaves out those that are
# no points of requests.
sub measurements {
    my ($language) = @_;
    return 'SHOW MEASUREMENTS' if $language eq 'influxql';
    return qq{import "influxdata/influxdb/schema"\n}
        . 'schema.measurements(bucket: "${bucket:raw}")'
        if $language eq 'flux';
    return q{SELECT DISTINCT table_name FROM information_schema.columns }
        . q{WHERE column_name = 'request_time' ORDER BY 1};
}

# A column that a table may not have is an error in SQL: variables that nobody
# sees are its name, or what stands for it then.
sub hidden {
    my ($language, $variable, $table) = @_;
    return if $language ne 'sql';
    my %instead = (
        route => ['route_column', 'route', q{''''''}],
        measurement => ['rate_column', 'sample_rate', q{'1.0'}],
    );
    my ($name, $column, $else) = @{ $instead{$variable} // return };
    return { name => $name, query => "SELECT CASE WHEN count(*) > 0 THEN "
        . qq{'$column' ELSE $else END AS "name" FROM information_schema.columns }
        . "WHERE table_name = '$table' AND column_name = '$column'" };
}

1;

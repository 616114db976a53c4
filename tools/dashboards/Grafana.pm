package Grafana;
#
# Dashboards and alert rules in Grafana's form, from the tables.  True and false
# are \1 and \0, for JSON and YAML.
#
use strict;
use warnings;
use Language;

my $SCHEMA = 38;    # of Grafana 9.5, which the later ones bring up to theirs
my $DATASOURCE = { type => 'influxdb', uid => '${source}' };

# ---- panels ----

my %BOX = (lines => 'timeseries', area => 'timeseries', stat => 'stat',
    gauge => 'gauge', table => 'table', heatmap => 'heatmap');

# "green, 1 orange, 5 red": a colour from a value on.
sub _thresholds {
    my ($text) = @_;
    my @steps = map {
        my ($value, $color) = /^(?:([\d.]+) )?(\w+)$/
            or die "a threshold is a value and a colour: $_\n";
        { color => $color, value => defined $value ? 0 + $value : undef };
    } split /, /, $text;
    return { mode => 'absolute', steps => \@steps };
}

sub _field_config {
    my ($p, $language) = @_;
    my %defaults = (unit => $p->{unit});
    $defaults{min} = 0 if $p->{kind} =~ /^(?:lines|area|gauge|stat)$/
        && !$p->{scale};
    $defaults{max} = 0 + $p->{max} if defined $p->{max};
    $defaults{decimals} = 0 + $p->{decimals} if defined $p->{decimals};
    $defaults{thresholds} = _thresholds($p->{thresholds} // 'green')
        if $p->{kind} =~ /^(?:stat|gauge)$/;
    # InfluxQL's series are named by alias.
    $defaults{displayName} = $p->{name} ? "\${__field.labels.$p->{name}}"
        : '${__field.name}'
        if $language ne 'influxql' && $p->{kind} =~ /^(?:lines|area|heatmap)$/;
    # The last row of a histogram has no upper bound.
    $defaults{mappings} = [{ type => 'range', options => { from => 1e8,
        to => 1e10, result => { text => 'over 32 s', index => 0 } } }]
        if $p->{scale};
    $defaults{custom} = _lines($p) if $p->{kind} =~ /^(?:lines|area)$/;
    return { defaults => \%defaults, overrides => _overrides($p) };
}

sub _lines {
    my ($p) = @_;
    my $is_area = $p->{kind} eq 'area';
    return {
        drawStyle => 'line', lineWidth => 1,
        fillOpacity => $is_area ? 40 : 5,
        showPoints => 'auto', spanNulls => \0,
        stacking => { group => 'A', mode => $is_area ? 'normal' : 'none' },
        scaleDistribution => $p->{scale} ? { type => 'log', log => 10 }
            : { type => 'linear' },
    };
}

sub _override {
    my ($matcher, $options, %properties) = @_;
    return { matcher => { id => $matcher, options => $options },
        properties => [map { { id => $_, value => $properties{$_} } }
            sort keys %properties] };
}

# In a table only times are in seconds; right: the series with an axis of its own.
sub _overrides {
    my ($p) = @_;
    my @seconds = qw(elapsed request_time application_time mean longest);
    return [_override('byRegexp', '/^(' . join('|', @seconds) . ')$/',
        unit => 's')] if $p->{kind} eq 'table';
    return [_override('byName', $p->{right},
        'custom.axisPlacement' => 'right', 'custom.fillOpacity' => 0)]
        if $p->{right};
    return [];
}

sub _options {
    my ($p) = @_;
    my $tooltip = { mode => 'multi', sort => 'desc' };
    my $reduce = { calcs => ['lastNotNull'], fields => '', values => \0 };
    return { showHeader => \1, $p->{sort} ? (sortBy => [{ displayName => $p->{sort},
        desc => \1 }]) : () } if $p->{kind} eq 'table';
    return { reduceOptions => $reduce, orientation => 'auto',
        textMode => 'auto', colorMode => 'value', graphMode => 'none',
        justifyMode => 'auto' } if $p->{kind} eq 'stat';
    return { reduceOptions => $reduce, orientation => 'auto',
        showThresholdLabels => \0, showThresholdMarkers => \0 }
        if $p->{kind} eq 'gauge';
    return {
        calculate => \0, cellGap => 0,
        rowsFrame => { layout => 'le', value => 'requests' },
        color => { mode => 'scheme', scheme => 'Oranges', fill => 'dark-orange',
            scale => 'exponential', exponent => 0.5, steps => 64,
            reverse => \0 },
        yAxis => { axisPlacement => 'left', unit => $p->{unit}, reverse => \0 },
        exemplars => { color => 'rgba(255,0,255,0.7)' },
        filterValues => { le => 1e-9 },
        legend => { show => \1 }, showValue => 'never',
        tooltip => { mode => 'single', yHistogram => \1 },
    } if $p->{kind} eq 'heatmap';
    return { tooltip => $tooltip, legend => { displayMode => 'list',
        placement => 'bottom', showLegend => \1, calcs => [] } };
}

# One number needs no time.
sub _is_table {
    my ($p, $language) = @_;
    return $p->{kind} eq 'table'
        || ($language eq 'sql' && scalar $p->{kind} =~ /^(?:stat|gauge)$/);
}

# How InfluxQL's series are named.
sub _alias {
    my ($p) = @_;
    return "\$tag_$p->{name}" if $p->{name};
    return $p->{kind} eq 'table' ? undef : '$col';
}

# A query for each entry of "each: p50 0.5, p95 0.95", or the one there is.
sub _targets {
    my ($p, $language, %o) = @_;
    my $ref = 'A';
    return [map {
        my ($name, $q) = split ' ';
        my $query = Language::fill($language, $p->{$language},
            defined $name ? (name => $name, q => $q) : ());
        Language::target($language, $ref++, $query, %o,
            is_table => _is_table($p, $language), alias => _alias($p));
    } split /, /, $p->{each} // ' '];
}

sub _panel {
    my ($p, $id, $place, $language, $head) = @_;
    die "$p->{title}: no kind '$p->{kind}'\n" if !$BOX{ $p->{kind} };
    return {
        id => $id, type => $BOX{ $p->{kind} }, title => $p->{title},
        description => $p->{about} // '', datasource => $DATASOURCE,
        gridPos => $place, interval => $p->{interval} // $head->{interval},
        fieldConfig => _field_config($p, $language), options => _options($p),
        targets => _targets($p, $language, datasource => $DATASOURCE),
    };
}

# Panels side by side, as wide as they say, below each other from 24 on.
sub _panels {
    my ($head, $language) = @_;
    my ($x, $y, $high, $id) = (0, 0, 0, 0);
    my @panels;
    for my $p (@{ $head->{items} }) {
        my ($w, $h) = $p->{row} ? (24, 1)
            : ($p->{width} // 12, $p->{height} // 8);
        ($x, $y, $high) = (0, $y + $high, 0) if $x + $w > 24;
        my $place = { x => $x, y => $y, w => 0 + $w, h => 0 + $h };
        push @panels, $p->{row}
            ? { id => ++$id, type => 'row', title => $p->{row},
                collapsed => \0, gridPos => $place, panels => [] }
            : _panel($p, ++$id, $place, $language, $head);
        $x += $w;
        $high = $h if $h > $high;
    }
    return \@panels;
}

# ---- variables and annotations ----

my %LABEL = (host => 'Host', server => 'Server', route => 'Route');

sub _query_variable {
    my ($name, $label, $query, %o) = @_;
    return {
        name => $name, label => $label, type => 'query',
        datasource => $DATASOURCE, query => $query,
        refresh => 2, sort => 1, regex => '', hide => 0, multi => \0,
        includeAll => \0, options => [], %o,
    };
}

sub _tag_variable {
    my ($language, $name, $measurement, @given) = @_;
    return _query_variable($name, $LABEL{$name},
        Language::values_of_tag($language, $name, $measurement, @given),
        multi => \1, includeAll => \1, allValue => '.*',
        current => { text => ['All'], value => ['$__all'], selected => \1 });
}

# "text : value, ...": the first one is chosen.
sub _custom_variable {
    my ($name, $label, $about, @pairs) = @_;
    my @options = map { { text => $_->[0], value => $_->[1],
        selected => $_ == $pairs[0] ? \1 : \0 } } @pairs;
    return {
        name => $name, label => $label, description => $about,
        type => 'custom', hide => 0, multi => \0, includeAll => \0,
        query => join(', ', map { "$_->[0] : $_->[1]" } @pairs),
        options => \@options, current => $options[0],
    };
}

# T and 4 T are bounds of rows of request-buckets.
sub _apdex {
    return _custom_variable('apdex', 'Apdex T',
        'How long a request may take that satisfies.', map {
            [sprintf('%g s', $_), sprintf '(%010.6f|%010.6f)', $_, 4 * $_]
        } 0.5, 0.0625, 0.125, 0.25, 1, 2);
}

sub _objective {
    return _custom_variable('objective', 'Objective %',
        'The percentage of InfluxMetricsObjective, for the burn rate.',
        map { [$_, $_] } qw(99.9 99 99.5 99.95 99.99));
}

# The interval measurements, and what is not of this module.
my $NOT_REQUESTS = '/^(?!(request-metrics|request-buckets|worker-states'
    . '|process-info|resource-pressure|slow-requests|server-events'
    . '|influx-metrics)$).*/';

sub _variable {
    my ($head, $language, $name, @given) = @_;
    return _apdex() if $name eq 'apdex';
    return _objective() if $name eq 'objective';
    return _query_variable($name, 'Measurement',
        Language::measurements($language), regex => $NOT_REQUESTS,
        current => { text => 'raw-requests', value => 'raw-requests',
            selected => \1 }) if $name eq 'measurement';
    return _tag_variable($language, $name, $head->{variables_from}, @given);
}

sub _variables {
    my ($head, $language) = @_;
    my $source = $Language::SOURCE{$language};
    my @list = ({
        name => 'source', label => 'Data source', type => 'datasource',
        query => 'influxdb', refresh => 1, regex => '', hide => 0,
        multi => \0, includeAll => \0, options => [],
        current => { text => $source->{name}, value => $source->{uid},
            selected => \1 },
    });
    my $place = Language::place($language);
    push @list, _query_variable(@$place{qw(name label query)}) if $place;
    my @given;
    for my $name (split ' ', $head->{variables}) {
        my $hidden = Language::hidden($language, $name,
            $head->{variables_from});
        my @hidden = $hidden ? _query_variable($hidden->{name},
            "Column $hidden->{name}", $hidden->{query}, hide => 2) : ();
        push @list, @hidden if $name eq 'route';
        push @list, _variable($head, $language, $name, @given);
        push @list, @hidden if $name eq 'measurement';
        push @given, $name if $LABEL{$name};
    }
    return \@list;
}

my %EVENTS = (
    influxql => 'SELECT "text", "kind" {from server-events}',
    flux => <<'FLUX' =~ s/\n\z//r,
{from server-events}
    |> filter(fn: (r) => r._field == "text")
    |> group()
    |> rename(columns: {_value: "text", kind: "tags", _time: "time"})
    |> keep(columns: ["time", "text", "tags"])
FLUX
    sql => 'SELECT time, text, kind AS "tags" {from server-events} ORDER BY time',
);

# Restarts, killed children and so on, in all panels.
sub _events {
    my ($language) = @_;
    my $query = Language::fill($language, $EVENTS{$language});
    return {
        name => 'Events', enable => \1, hide => \0, iconColor => 'orange',
        datasource => $DATASOURCE,
        target => {
            %{ Language::target($language, 'Anno', $query, is_table => 1) },
            $language eq 'influxql' ? (fromAnnotations => \1,
                textEditor => \1, textColumn => 'text', tagsColumn => 'kind')
                : (),
        },
    };
}

sub dashboard {
    my ($head, $language) = @_;
    return {
        uid => $head->{uid} . ($language eq 'influxql' ? '' : "-$language"),
        title => $head->{title}, description => $head->{about},
        tags => ['httpd'], schemaVersion => $SCHEMA, version => 1,
        editable => \1, graphTooltip => 1,
        timezone => 'browser', refresh => $head->{refresh},
        time => { from => $head->{from}, to => 'now' },
        annotations => { list => $head->{events} ? [_events($language)] : [] },
        links => [{ type => 'dashboards', title => 'httpd', icon => 'external link',
            tooltip => '', tags => ['httpd'], asDropdown => \1, url => '',
            targetBlank => \0, includeVars => \1, keepTime => \1 }],
        templating => { list => _variables($head, $language) },
        panels => _panels($head, $language),
    };
}

# ---- alert rules ----

sub _expression {
    my ($ref, %model) = @_;
    return {
        refId => $ref, datasourceUid => '__expr__',
        relativeTimeRange => { from => 0, to => 0 },
        model => { refId => $ref, datasource => { type => '__expr__',
            uid => '__expr__' }, %model },
    };
}

sub _asked {
    my ($ref, $seconds, $language, $query) = @_;
    my $uid = $Language::SOURCE{$language}{uid};
    return {
        refId => $ref, datasourceUid => $uid,
        relativeTimeRange => { from => 0 + $seconds, to => 0 },
        model => {
            %{ Language::target($language, $ref, $query,
                is_table => $language eq 'sql',
                datasource => { type => 'influxdb', uid => $uid }) },
            intervalMs => 60_000, maxDataPoints => 1000,
        },
    };
}

# A is asked, B its last value; C the condition; D and E as A and B, over the
# shorter time of a burn rate.
sub _rule {
    my ($a, $language, $queries) = @_;
    my $query = Language::fill($language, $queries->{$language});
    my %reduce = (type => 'reduce', reducer => 'last',
        settings => { mode => 'dropNN' });
    my @data = (_asked('A', $a->{range}, $language, $query),
        _expression('B', %reduce, expression => 'A'));
    my $condition = "\$B $a->{when}";
    if ($a->{short}) {
        push @data, _asked('D', $a->{short}, $language, $query),
            _expression('E', %reduce, expression => 'D');
        $condition .= " && \$E $a->{when}";
    }
    push @data, _expression('C', type => 'math', expression => $condition);
    return {
        uid => $a->{uid} . ($language eq 'influxql' ? '' : "-$language"),
        title => $a->{title}, condition => 'C', data => \@data,
        for => $a->{for}, noDataState => $a->{no_data} // 'OK',
        execErrState => 'Error', isPaused => \0,
        annotations => { summary => $a->{about} },
        labels => { severity => $a->{severity} },
    };
}

sub alerts {
    my ($head, $language) = @_;
    my %by_uid = map { ($_->{uid} => $_) } @{ $head->{items} };
    return {
        apiVersion => 1,
        groups => [{
            orgId => 1, name => $head->{title}, folder => 'httpd',
            interval => '1m',
            rules => [map { _rule($_, $language,
                $by_uid{ $_->{queries} // $_->{uid} }) } @{ $head->{items} }],
        }],
    };
}

1;

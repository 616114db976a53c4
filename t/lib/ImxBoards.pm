package ImxBoards;
#
# The dashboards and alert rules of dashboards/, and their queries as Grafana
# sends them.
#
#   use ImxTest; use ImxBoards;
#
#   for my $board (boards('flux')) {             # or influxql, sql
#       my $values = choose($board, 'all', sub { my ($variable, $query) = @_;
#           ... values }, { from =>, to =>, interval => });
#       # "all", or "one" of each variable: prefer => { name => value }, else
#       # the first
#       for my $q (queries($board)) {            # { name, query, interval }
#           my $text = filled('flux', $q->{query}, { from => epoch,
#               to => epoch, interval => 10, values => $values });
#       }
#   }
#   for my $rule (alert_rules('sql')) { ... }    # { title, data => [...] }
#   my @asked = alert_queries($rule);            # { name, query, seconds }
#
use strict;
use warnings;
use CPAN::Meta::YAML;
use Exporter qw(import);
use JSON::PP ();
use POSIX qw(strftime);
use ImxTest;

our @EXPORT = qw(boards queries choose filled alert_rules alert_queries
    variable_query languages);

sub languages { return qw(influxql flux sql) }

sub boards {
    my ($language) = @_;
    return map {
        { file => $_, language => $language,
            board => JSON::PP::decode_json(slurp($_)) }
    } sort glob top() . "/dashboards/$language/*.json";
}

sub _text { my ($target) = @_; return $target->{query} // $target->{rawSql} }

# Of panels, those in rows too, and of annotations.
sub queries {
    my ($board) = @_;
    my @panels = map { ($_, @{ $_->{panels} // [] }) }
        @{ $board->{board}{panels} };
    my @all;
    for my $p (@panels) {
        push @all, map { { panel => $p, target => $_,
            name => "$p->{title} $_->{refId}", query => _text($_),
            interval => $p->{interval} =~ s/s$//r } } @{ $p->{targets} // [] };
    }
    push @all, map { { name => "annotation $_->{name}",
        query => _text($_->{target}), interval => 10 } }
        @{ $board->{board}{annotations}{list} };
    return @all;
}

# ---- variables ----

sub _escape { return $_[0] =~ s/([\\^\$*+?.()|\[\]{}\/])/\\$1/gr }

# A variable's value as ${name:format} has it; that of "All" is never escaped.
sub _formatted {
    my ($value, $format, $query) = @_;
    die "no such variable: $query\n" if !defined $value;
    return $value->{all} if defined $value->{all};
    my @values = @{ $value->{values} };
    return $values[0] if $format eq 'raw' && @values == 1;
    die "no format '$format': $query\n" if $format ne 'regex';
    @values = map { _escape($_) } @values;
    return @values == 1 ? $values[0] : '(' . join('|', @values) . ')';
}

sub variable_query {
    my ($v) = @_;
    return $v->{type} eq 'query' ? $v->{query} : undef;
}

# /regex/ of a variable leaves out what does not match.
sub _kept {
    my ($v, @values) = @_;
    my ($regex) = ($v->{regex} // '') =~ m{^/(.*)/$} or return @values;
    return grep { /$regex/ } @values;
}

# The values of all variables, one after the other, as each may ask for those
# before; ask gives the values of a query.
sub choose {
    my ($board, $case, $ask, $context) = @_;
    my %values;
    for my $v (@{ $board->{board}{templating}{list} }) {
        next if $v->{type} eq 'datasource';
        if ($v->{type} eq 'custom') {
            $values{ $v->{name} } = { values => [$v->{current}{value}] };
            next;
        }
        my @offered = _kept($v, $ask->($v, filled($board->{language},
            $v->{query}, { %$context, values => \%values })));
        my ($one) = grep { $_ eq ($context->{prefer}{ $v->{name} } // '') }
            @offered;
        $values{ $v->{name} } = $v->{includeAll} && $case eq 'all'
            ? { all => $v->{allValue} }
            : { values => [$one // $offered[0] // ''] };
    }
    return \%values;
}

# ---- the words that Grafana fills in ----

sub _rfc3339 { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $_[0]) }

sub filled {
    my ($language, $query, $c) = @_;
    my ($from, $to, $s) = @$c{qw(from to interval)};
    $query =~ s/\$\{(\w+):(\w+)\}/_formatted($c->{values}{$1}, $2, $query)/ge;
    my %word = (__range_s => $to - $from, __interval_ms => 1000 * $s);
    if ($language eq 'influxql') {
        $word{__interval} = "${s}s";
        $word{timeFilter} = "time >= ${from}000ms and time <= ${to}000ms";
    }
    elsif ($language eq 'flux') {
        # A duration of Go's, such as 1m0s.
        my $period = ($s >= 60 ? int($s / 60) . 'm' : '') . ($s % 60) . 's';
        my %v = (timeRangeStart => _rfc3339($from), windowPeriod => $period,
            timeRangeStop => _rfc3339($to), defaultBucket => '"httpd"');
        $query =~ s/\bv\.(\w+)/$v{$1} \/\/ die "v.$1: $query\n"/ge;
    }
    else {
        $query =~ s/\$__dateBin\((\w+)\)/date_bin(interval '$s second', $1, timestamp '1970-01-01T00:00:00Z')/g;
        my ($begin, $end) = map { _rfc3339($_) } $from, $to;
        $query =~ s/\$__timeFilter\((\w+)\)/$1 >= '$begin' AND $1 <= '$end'/g;
    }
    # In Flux and SQL a dollar at the end of a regular expression stays.
    $query =~ s/\$(_*[a-zA-Z]\w*)/$word{$1} \/\/ die "\$$1: $query\n"/ge;
    return $query;
}

# ---- alert rules ----

sub alert_rules {
    my ($language) = @_;
    my $file = top() . "/dashboards/$language/provisioning/alerting/httpd.yaml";
    my $yaml = CPAN::Meta::YAML->read_string(slurp($file))
        or die "$file: " . CPAN::Meta::YAML->errstr;
    return map { @{ $_->{rules} } } @{ $yaml->[0]{groups} };
}

sub alert_queries {
    my ($rule) = @_;
    return map { { name => "$rule->{title} $_->{refId}",
        query => _text($_->{model}), ref => $_->{refId},
        seconds => $_->{relativeTimeRange}{from} } }
        grep { $_->{datasourceUid} ne '__expr__' } @{ $rule->{data} };
}

1;

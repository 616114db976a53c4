package ImxMeasured;
#
# What docs/measurements.md says of a measurement, against what InfluxDB has.
#
#   use ImxTest; use ImxMeasured;
#
#   manual_ok($db, 'worker-states', $database);    # its tags and fields are
#                                                  # those, and no others
#   manual_ok_victoria($v, 'worker-states');       # the same of VictoriaMetrics,
#                                                  # which knows no types
#
use strict;
use warnings;
use Exporter qw(import);
use ImxTest;
use Test::More;

our @EXPORT = qw(manual_ok manual_ok_victoria);

# Its tags, its fields with their types, and those that may be absent.
sub _manual {
    my ($measurement) = @_;
    my ($section) = slurp(top() . '/docs/measurements.md')
        =~ /^## \Q$measurement\E$(.*?)(?=^## |\z)/ms;
    my (@tags, %fields, %may);
    for (split /\n/, $section // '') {
        if (/^\| `(\w+)` \| (integer|float|string|boolean) \|.*?\|(.*)/) {
            my ($name, $type, $text) = ($1, $2, $3);
            $fields{$name} = $type;
            $may{$name} = $text =~ /\*absent\*/;
        }
        elsif (/^\| `(\w+)` \|/) {
            push @tags, $1;
        }
    }
    return ([sort @tags], \%fields, \%may);
}

sub manual_ok {
    my ($db, $measurement, $database) = @_;
    my ($tags, $fields, $may) = _manual($measurement);
    is_deeply([sort map { $_->{tagKey} }
        $db->query(qq{SHOW TAG KEYS FROM "$measurement"}, $database)], $tags,
        "$measurement: tags as in docs/measurements.md");
    my %written = map { ($_->{fieldKey} => $_->{fieldType}) }
        $db->query(qq{SHOW FIELD KEYS FROM "$measurement"}, $database);
    delete @$fields{ grep { $may->{$_} && !$written{$_} } keys %$fields };
    return is_deeply(\%written, $fields, "$measurement: and its fields");
}

# A series a field; the database's name is one more label there.
sub manual_ok_victoria {
    my ($v, $measurement) = @_;
    my ($tags, $fields, $may) = _manual($measurement);
    my (%tags, %written);
    for ($v->samples(qq({__name__=~"${measurement}_.+"}))) {
        my %labels = %{ $_->{labels} };
        $written{ delete($labels{__name__}) =~ s/^\Q$measurement\E_//r } = 1;
        $tags{$_} = 1 for keys %labels;
    }
    delete $tags{db};
    is_deeply([sort keys %tags], $tags, "$measurement: tags as in "
        . 'docs/measurements.md');
    delete @$fields{ grep { $may->{$_} && !$written{$_} } keys %$fields };
    return is_deeply([sort keys %written], [sort keys %$fields],
        "$measurement: and its fields");
}

1;

package Yaml;
#
# Writes YAML: maps, lists and scalars, a text as JSON has it.
#
use strict;
use warnings;
use JSON::PP ();

my $json = JSON::PP->new->allow_nonref;

sub _scalar {
    my ($value) = @_;
    return 'null' if !defined $value;
    return $$value ? 'true' : 'false' if ref $value eq 'SCALAR';
    return $json->encode($value);
}

sub _lines {
    my ($value) = @_;
    if (ref $value eq 'HASH') {
        return map {
            my ($key, @lines) = ($_, _lines($value->{$_}));
            ref $value->{$key} eq 'HASH' || ref $value->{$key} eq 'ARRAY'
                ? ("$key:", map { "  $_" } @lines) : "$key: $lines[0]";
        } sort keys %$value;
    }
    return _scalar($value) if ref $value ne 'ARRAY';
    return map {
        my ($first, @more) = _lines($_);
        ("- $first", map { "  $_" } @more);
    } @$value;
}

sub text { return join '', map { "$_\n" } _lines($_[0]) }

1;

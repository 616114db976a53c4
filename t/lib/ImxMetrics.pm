package ImxMetrics;
#
# What ?openmetrics says, as Prometheus' own parsers for Python and promtool
# read it.
#
#   use ImxTest; use ImxMetrics;
#
#   my $why = missing();                 # why there can be no judge, or ''
#   my $m = exposition($url);            # the older form; or open => 1
#   my @s = samples($m);                 # hashes: name, labels, value, type ...
#   value($m, 'httpd_requests_total', server => 'a.test', status => '2xx');
#                                        # the sum of those that have these
#   lint_ok($m, 'name');                 # promtool finds nothing
#   sums_ok($m, 'name');                 # each histogram: ascending, +Inf is
#                                        # count is the requests
#
use strict;
use warnings;
use Exporter qw(import);
use ImxTest;
use JSON::PP qw(decode_json);
use Test::More;

our @EXPORT = qw(missing exposition samples value lint_ok sums_ok);

my $program;

sub missing {
    return '' if $program;
    chomp(my $said = qx(sh @{[top()]}/tools/build-judges.sh python));
    return $said || 'no judge' if $?;
    $program = $said;
    return '';
}

my $files = 0;

sub exposition {
    my ($url, %o) = @_;
    my $accept = $o{accept} // ($o{open}
        ? 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' : '');
    my $answer = http('GET', $url,
        { headers => { $accept ? (Accept => $accept) : () } });
    return { type => $answer->{headers}{'content-type'} // '',
        vary => $answer->{headers}{vary} // '', text => $answer->{content},
        status => $answer->{status}, open => $o{open} };
}

# Dies with the parser's words when it refuses it.
sub samples {
    my ($m) = @_;
    return @{ $m->{samples} } if $m->{samples};
    die missing() if missing();
    my $file = spew(work_dir() . '/exposition-' . $files++, $m->{text});
    my $form = $m->{open} ? 'openmetrics' : 'text';
    open my $out, '-|', "$program $form <$file 2>$file.err" or die "judge: $!";
    my @samples = map { decode_json($_) } <$out>;
    close $out or die "$form: " . slurp("$file.err");
    $m->{samples} = \@samples;
    return @samples;
}

sub value {
    my ($m, $name, %labels) = @_;
    my @found = grep { my $s = $_; $s->{name} eq $name
        && !grep { ($s->{labels}{$_} // '') ne $labels{$_} } keys %labels }
        samples($m);
    return if !@found;
    my $sum = 0;
    $sum += $_->{value} for @found;
    return $sum;
}

sub lint_ok {
    my ($m, $name) = @_;
    my $file = spew(work_dir() . '/lint-' . $files++, $m->{text});
    my $said = qx(promtool check metrics <$file 2>&1);
    return ok($? == 0 && $said eq '', $name) || diag $said;
}

sub _key {
    my ($labels, @without) = @_;
    my %l = %$labels;
    delete @l{@without};
    return join ',', map { "$_=$l{$_}" } sort keys %l;
}

sub sums_ok {
    my ($m, $name) = @_;
    my (%last, %count, %requests, @faults);
    for my $s (samples($m)) {
        if ($s->{name} =~ /_bucket$/) {
            my $key = "$s->{family} " . _key($s->{labels}, 'le');
            push @faults, "$key falls at $s->{labels}{le}"
                if $s->{value} < ($last{$key} // 0);
            $last{$key} = $s->{value};
        }
        elsif ($s->{type} eq 'histogram' && $s->{name} =~ /_count$/) {
            $count{"$s->{family} " . _key($s->{labels})} = $s->{value};
        }
        elsif ($s->{name} eq 'httpd_requests_total') {
            $requests{'httpd_request_duration_seconds '
                . _key($s->{labels}, 'status')} += $s->{value};
        }
    }
    push @faults, map { "$_: " . ($last{$_} // 'nothing') . " is not "
        . ($count{$_} // 'there') } grep { ($last{$_} // -1)
        != ($count{$_} // -2) } keys %{ { %last, %count } };
    push @faults, map { "$_: $requests{$_} requests, " . ($count{$_} // 'no')
        . ' durations' } grep { $requests{$_} != ($count{$_} // -1) }
        keys %requests;
    push @faults, 'no histogram' if !%count;
    return is_deeply(\@faults, [], $name);
}

1;

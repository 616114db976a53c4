# Instructions that the module's own code takes, counted by callgrind: of a
# usual request, of one whose line has all that can be asked for, of one that is
# not recorded, and of a line that is encoded, appended and delivered.  Each is
# within 5 % of what t/cost.txt says, so that no change makes them dearer (or
# cheaper) unnoticed; `make record-cost` writes that file anew.
#
# Only code of the module's objects counts, and not what they call: libc has
# other functions for other processors.  So calls of libc, APR and httpd are
# counted apart (calls_*), and one more is one too many.  What the first request
# does, and what is done once in a segment, is left out.  Another compiler, or
# other flags, make other code: with these nothing is compared.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench";
use ImxTest;
use ImxCount;
use Test::More;

my $FILE = "$FindBin::Bin/cost.txt";
my $REQUESTS = 400;
my $OFTEN = 20;    # calls of a function that more than the first request makes
my @STEPS = ([encode => 'encode_lines'], [append => 'append_lines'],
    [deliver => 'deliver_lines']);
my %REQUESTS = (
    request => ["InfluxMetrics On\n"],
    request_off => ["InfluxMetrics Off\n"],
    # No such file, so that status, line and phases are not the usual ones.
    request_more => [<<'CONF', '/none.txt'],
InfluxMetrics On
InfluxMetricsFields +server_time +input_time +output_time +ttfb +bytes_received
InfluxMetricsFields +aborted +uri +client
InfluxMetricsTags +protocol +status_class
InfluxMetricsTag zone eu
InfluxMetricsTag place "%{REQUEST_URI}"
InfluxMetricsField listens int "%{SERVER_PORT}"
InfluxMetricsReport phases
InfluxMetricsBuckets 8 request application
InfluxMetricsSample 0.99 errors
CONF
);

plan skip_all => 'valgrind is not installed: instructions cannot be counted'
    if !which_one('valgrind');
plan skip_all => 'a sanitizer adds instructions of its own'
    if $ENV{IMX_PRELOAD};

my $compiler = compiler(build() . '/mod_influx_metrics.so');
my %recorded = recorded();
plan skip_all => "t/cost.txt is of another compiler or other flags than "
    . "this build: $compiler"
    if !$ENV{IMX_RECORD} && ($recorded{compiler} // '') ne $compiler;

my %now = ((map { request($_, @{ $REQUESTS{$_} }) } sort keys %REQUESTS),
    map { step(@$_) } @STEPS);
record() if $ENV{IMX_RECORD};
for (sort keys %now) {
    my $was = $recorded{$_} // die "t/cost.txt has no figure for $_\n";
    if (/^calls_/) {
        cmp_ok(abs $now{$_} - $was, '<', 0.5, "$_: $now{$_}, recorded are $was");
        next;
    }
    my $percent = 100 * ($now{$_} / $was - 1);
    cmp_ok(abs $percent, '<=', 5, sprintf '%s: %.1f instructions, recorded '
        . 'are %.1f: %+.1f %%', $_, $now{$_}, $was, $percent);
}
done_testing();

# What made the code, as the debugging information says.
sub compiler {
    my ($object) = @_;
    my %seen;
    open my $pipe, '-|', 'readelf', '--debug-dump=info', '--dwarf-depth=1',
        $object or die "readelf: $!\n";
    /DW_AT_producer\s*:.*?: (GNU .*|\S*clang.*)/ and $seen{$1}++ while <$pipe>;
    close $pipe;
    return join '; ', sort keys %seen;
}

sub request {
    my ($name, $conf, $path) = @_;
    my $profile = ImxCount::profile($REQUESTS, db => influxd(), module => 1,
        conf => "$conf$ImxCount::ON", path => $path);
    return ($name => ImxCount::own_code($profile, $OFTEN) / $REQUESTS,
        "calls_$name" =>
            ImxCount::calls_out($profile, $OFTEN) / $REQUESTS);
}

sub step {
    my ($name, $function) = @_;
    my ($own, $calls) = ImxCount::step($function);
    return ($name => $own, "calls_$name" => $calls);
}

sub recorded {
    my %r;
    for (split /\n/, -e $FILE ? slurp($FILE) : '') {
        $r{$1} = $2 if /^(\w+): (.*)/;
    }
    return %r;
}

sub record {
    $recorded{$_} = sprintf '%.1f', $now{$_} for keys %now;
    $recorded{compiler} = $compiler;
    open my $fh, '>', $FILE or die "$FILE: $!\n";
    print $fh "# Instructions of the module's own code, written by `make "
        . "record-cost`: t/cost.t compares.\n";
    print $fh "$_: $recorded{$_}\n" for sort keys %recorded;
    close $fh or die "$FILE: $!\n";
}

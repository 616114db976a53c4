# Instructions that the module's own code takes, counted by callgrind: of a
# usual request, of a line that is encoded, appended and delivered.  Each is
# within 5 % of what t/cost.txt says, so that no change makes them dearer (or
# cheaper) unnoticed; `make record-cost` writes that file anew.
#
# Only code of the module's objects counts, and not what they call: libc has
# other functions for other processors.  What is not done for each request is
# left out.  Another compiler, or other flags, make other code: with these
# nothing is compared.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench";
use ImxTest;
use ImxCount;
use Test::More;

my $FILE = "$FindBin::Bin/cost.txt";
my ($REQUESTS, $LINES) = (400, 2000);
my @STEPS = ([encode => 'encode_lines'], [append => 'append_lines'],
    [deliver => 'deliver_lines']);

plan skip_all => 'valgrind is not installed: instructions cannot be counted'
    if !which_one('valgrind');
plan skip_all => 'a sanitizer adds instructions of its own'
    if $ENV{IMX_PRELOAD};

my $compiler = compiler(build() . '/mod_influx_metrics.so');
my %recorded = recorded();
plan skip_all => "t/cost.txt is of another compiler or other flags than "
    . "this build: $compiler"
    if !$ENV{IMX_RECORD} && ($recorded{compiler} // '') ne $compiler;

my %now = (request => request(), map { $_->[0] => step($_->[1]) } @STEPS);
record() if $ENV{IMX_RECORD};
for (sort keys %now) {
    my $was = $recorded{$_} or die "t/cost.txt has no figure for $_\n";
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
    my $profile = ImxCount::profile($REQUESTS, db => influxd(), module => 1,
        conf => "InfluxMetrics On\n$ImxCount::ON");
    return ImxCount::own_code($profile, $REQUESTS / 2) / $REQUESTS;
}

# A line of what one function of bench-steps does.
sub step {
    my ($function) = @_;
    my $out = work_dir() . "/$function";
    system(which_one('valgrind'), '-q', '--tool=callgrind',
        "--toggle-collect=$function", "--callgrind-out-file=$out",
        '--log-file=/dev/null', build() . '/bench-steps') == 0
        or die "bench-steps: $?\n";
    my $self = ImxCount::read_profile($out)->{self};
    my $own = 0;
    $own += $self->{$_} for grep { /^bench-steps:/ } keys %$self;
    return $own / $LINES;
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

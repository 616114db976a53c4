# Instructions that the module's own code takes, counted by callgrind: of a
# usual request, of others whose way is another one, and of a line that is
# encoded, appended and delivered.  Each is within 5 % of what t/cost.txt says,
# so that no change makes them dearer (or cheaper) unnoticed; `make record-cost`
# writes that file anew.
#
# Only code of the module's objects counts, and not what they call: libc has
# other functions for other processors.  So calls of libc, APR and httpd are
# counted apart, and one more is one too many: copies_* are those of memcpy(),
# strlen() and the like, calls_* all others.  What the first request does, and
# what is done once in a segment, is left out.
#
# Another compiler, or other flags, make other code, and make or leave out
# copies_*.  Then calls_* have to be the same all the same, and instructions
# within $WIDE %: gcc takes up to 20 % more with -O1 or a distribution's flags, and
# clang, which does not see the files as one (HOT in the Makefile), up to 44 %.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench";
use ImxTest;
use ImxBare;
use ImxCount;
use Test::More;

my $FILE = "$FindBin::Bin/cost.txt";
my $REQUESTS = 400;
my $OFTEN = 40;    # calls of a function that more than the first request makes
my ($NARROW, $WIDE) = (5, 60);
my @STEPS = ([encode => 'encode_lines'], [append => 'append_lines'],
    [deliver => 'deliver_lines']);

plan skip_all => 'valgrind is not installed: instructions cannot be counted'
    if !which_one('valgrind');
plan skip_all => 'a sanitizer adds instructions of its own'
    if $ENV{IMX_PRELOAD};

my $db = influxd();
my $behind = ImxBare->new(children => 1);
# In one write, so that the server finds all of it at once, and reads it in as
# many pieces as there are chunks.
my $POST = "POST /echo HTTP/1.1\r\nHost: imx.test\r\n"
    . "Transfer-Encoding: chunked\r\n\r\n" . "5\r\nhello\r\n" x 3 . "0\r\n\r\n";
my %REQUESTS = (
    request => { conf => "InfluxMetrics On\n" },
    request_off => { conf => "InfluxMetrics Off\n" },
    request_prefork => { conf => "InfluxMetrics On\n", mpm => 'prefork' },
    # No such file, so that status, line and phases are not the usual ones.
    request_more => { path => '/none.txt', conf => <<'CONF' },
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
    # Each piece of the body is answered with one: both filters, three times.
    request_body => { request => $POST, modules => ['reflector'],
        conf => <<'CONF' },
InfluxMetrics On
InfluxMetricsFields +input_time +output_time +bytes_received
<Location /echo>
SetHandler reflector
</Location>
CONF
    request_proxied => { path => '/behind/index.html',
        modules => ['proxy', 'proxy_http'], conf => <<"CONF" },
InfluxMetrics On
InfluxMetricsTags +backend
InfluxMetricsReport phases
ProxyPass /behind/ @{[ $behind->url('/') ]}
CONF
    # Two that no handler sees: one is refused, one is no request at all.
    request_refused => { path => '/refused', conf => <<'CONF' },
InfluxMetrics On
<Location /refused>
Require all denied
</Location>
CONF
    request_malformed => { request => "GET / HTTP/1.1\r\n\r\n",
        conf => "InfluxMetrics On\n" },
);

my $compiler = compiler(build() . '/mod_influx_metrics.so');
my %recorded = recorded();
my $is_same = $ENV{IMX_RECORD} || ($recorded{compiler} // '') eq $compiler;
my %now = ((map { request($_, %{ $REQUESTS{$_} }) } sort keys %REQUESTS),
    map { step(@$_) } @STEPS);
record() if $ENV{IMX_RECORD};

if ($is_same) {
    note "compared within $NARROW %, and all calls: of the same compiler";
}
else {
    diag "another compiler or other flags than those of t/cost.txt: compared "
        . "within $WIDE %, and calls_* alone";
    note 't/cost.txt: ' . ($recorded{compiler} // 'none') . "\nhere: $compiler";
}
compare($_, $recorded{$_} // die "t/cost.txt has no figure for $_\n")
    for grep { $is_same || !/^copies_/ } sort keys %now;
done_testing();

sub compare {
    my ($name, $was) = @_;
    my $now = $now{$name};
    if ($name =~ /^(?:calls|copies)_/) {
        cmp_ok(abs $now - $was, '<', 0.5,
            sprintf '%s: %.2f, recorded are %s', $name, $now, $was);
        return;
    }
    my $percent = 100 * ($now / $was - 1);
    cmp_ok(abs $percent, '<=', $is_same ? $NARROW : $WIDE, sprintf
        '%s: %.1f instructions, recorded are %.1f: %+.1f %%', $name, $now, $was,
        $percent);
}

# What made the code that a request meets, as the debugging information says.
# Code of other rooms can be as old as it likes: <artificial> is what gcc made of
# several files.
sub compiler {
    my ($object) = @_;
    my (%seen, $producer);
    open my $pipe, '-|', 'readelf', '--debug-dump=info', '--dwarf-depth=1',
        $object or die "readelf: $!\n";
    while (<$pipe>) {
        $producer = $1 if /DW_AT_producer\s*: (?:\(.*?\): )?(.*)/;
        $seen{$producer}++ if defined $producer && /DW_AT_name\s*:.*
            \s(?:<artificial>|lineproto\.c|src\/(?:shared|record)\/.*)$/x;
    }
    close $pipe;
    return join '; ', sort keys %seen;
}

sub request {
    my ($name, %o) = @_;
    my $profile = ImxCount::profile($REQUESTS, %o, db => $db, module => 1,
        conf => $o{conf} . $ImxCount::ON);
    return figures_of($name, map { $_ / $REQUESTS }
        ImxCount::own_code($profile, $OFTEN),
        ImxCount::calls_out($profile, $OFTEN));
}

sub step {
    my ($name, $function) = @_;
    return figures_of($name, ImxCount::step($function));
}

sub figures_of {
    my ($name, $own, $calls, $copies) = @_;
    return ($name => $own, "calls_$name" => $calls, "copies_$name" => $copies);
}

sub recorded {
    my %r;
    for (split /\n/, -e $FILE ? slurp($FILE) : '') {
        $r{$1} = $2 if /^(\w+): (.*)/;
    }
    return %r;
}

sub record {
    %recorded = (compiler => $compiler,
        map { $_ => sprintf '%.1f', $now{$_} } keys %now);
    open my $fh, '>', $FILE or die "$FILE: $!\n";
    print $fh "# Instructions of the module's own code, written by `make "
        . "record-cost`: t/cost.t compares.\n";
    print $fh "$_: $recorded{$_}\n" for sort keys %recorded;
    close $fh or die "$FILE: $!\n";
}

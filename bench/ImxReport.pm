# ImxReport.pm: owns docs/performance.md: one section a benchmark, each between
# <!-- begin NAME --> and <!-- end NAME -->; a benchmark replaces only its own.
#
#   ImxReport::write('encoder', $markdown, command => 'make bench-encoder',
#       readme => 'A sentence');    # between <!-- begin encoder --> in README.md
package ImxReport;

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use POSIX qw(strftime);
use Text::Wrap qw(wrap);
use lib dirname(__FILE__);
use ImxBytes;

my $TOP = abs_path(dirname(__FILE__) . '/..');
our $FILE = "$TOP/docs/performance.md";
our $README = "$TOP/README.md";

my @SECTIONS = (
    [load         => 'Under load, with and without'],
    [peers        => 'Beside others that do the same'],
    [growth       => 'What it grows with'],
    [instructions => 'Instructions a request'],
    [append       => 'Appending to the batch'],
    [fields       => 'What each tag and field costs'],
    [encoder      => 'The line encoder'],
    [flusher      => 'The flusher'],
    [beat         => 'Delivery has no beat'],
    [buffer       => 'An idle holder of a large buffer'],
    [hung         => 'While InfluxDB hangs'],
    [write        => 'Points of applications'],
    [bytes        => 'Bytes a point'],
    [vhosts       => 'Virtual hosts'],
    [counted      => 'What is counted'],
    [idle         => 'Children that do nothing'],
    [scrape       => 'What Prometheus\' asking costs'],
);

# A number and its sign of percent stay together.
sub fill {
    my ($first, $next, $text) = @_;
    local $Text::Wrap::columns = 81;
    local $Text::Wrap::huge = 'overflow';
    $text =~ s/\s+/ /g;
    $text =~ s/(\d) %/$1\001%/g;
    return wrap($first, $next, $text) =~ tr/\001/ /r;
}

sub wrapped { return fill('', '', $_[0]) . "\n" }

# What is said above each table of ratios.
sub PAIRS {
    return "Each run is paired with one of the first line's right beside it; a "
        . "ratio is the median of the pairs', with quartiles, in percent more or "
        . "less. The second line is the first once more: how far its ratio varies "
        . "is the machine's doing. A ratio that is no larger than that, or that "
        . "has its quartiles on both sides of no difference, is \"not "
        . "distinguishable\".";
}

# What is said where instructions are counted.
sub COUNTS {
    return 'The runs are few, as instructions are counts and not times: '
        . 'another run differs by little.';
}

# What README.md says of benchmarks that print a table only.
my %SAYS = (
    instructions => sub {
        my ($text) = @_;
        my %row = map { /^\| ([^|]+) \| \d+ \| \+(\d+) \| [^|]+ \| (\d+)?.* \| (\S+) \|$/
            ? ($1 => { added => $2, own => $3, clocks => $4 }) : () }
            split /\n/, $text;
        my ($alone) = $text =~ /^\| httpd alone \| (\d+)/m;
        my ($on, $log) = @row{'InfluxMetrics On', 'CustomLog instead'};
        my ($other) = map { $row{$_} } grep { /^mod_asis/ } sort keys %row;
        return if grep { !$_ } $alone, $on, $log, $on->{own};
        return sprintf 'A request for a file of 12 bytes takes %.1f %% more '
            . 'instructions, %d beside the %d of httpd, and %s clock reads. The '
            . 'module\'s own share, which does not depend on where httpd\'s strings '
            . 'lie, is %d. A CustomLog adds %d%s. For a usual request the module '
            . 'makes no system call and takes no lock.',
            100 * $on->{added} / $alone, $on->{added}, $alone,
            $on->{clocks}, $on->{own}, $log->{added},
            $other ? "; a module that does nothing, $other->{added}" : '';
    },
    bytes => sub {
        my ($text) = @_;
        my ($disk) = $text =~ /^\| as by default \| \d+ \| \d+ \| ([\d.]+) \|/m
            or return;
        return sprintf "A point takes some %.0f bytes of [InfluxDB's disk]"
            . '(docs/sizing.md), and InfluxDB keeps it for ever, unless you say '
            . 'otherwise.', $disk;
    },
    flusher => sub {
        my ($text) = @_;
        my ($head, undef, @rows) = map { [split /\s*\|\s*/, s/^\|\s*//r] }
            grep { /^\|/ } split /\n/, $text;
        my ($burst) = grep { $_->{what} eq 'a burst' }
            map { my %of; @of{@$head} = @$_; \%of } @rows;
        my ($rate, $range) = ($burst->{'lines/s'} // '') =~ /^(\d+) ?(.*)/
            or return;
        return sprintf 'A million points that wait are delivered by the one '
            . 'thread at %d a second%s, %s dropped.', $rate,
            $range && $range =~ s/\(/ (quartiles /r, $burst->{dropped} || 'none';
    },
    idle => sub {
        my ($text) = @_;
        my ($children) = $text =~ /^\| (\d+) idle prefork children/m;
        my ($alone) = $text =~ /^\| httpd alone \| ([\d.]+)/m;
        my ($with) = $text =~ /^\| with the module\b[^|]*\| ([\d.]+)/m;
        return if grep { !defined } $children, $alone, $with;
        return "$children prefork children that do nothing take $with % of a core; "
            . "without the module, $alone %.";
    },
);

# That sentence, as an item of README's list; undef: there is none.
sub item_of {
    my ($name, $markdown) = @_;
    my $says = ($SAYS{$name} // sub { return })->($markdown);
    return defined $says ? item($says) : undef;
}

sub item { return fill('- ', '  ', $_[0]) . "\n" }

sub skeleton {
    my $text = "# Performance\n\nEvery section is written by the command it "
        . "names; no figure here is typed in by hand.\n";
    $text .= "\n## $_->[1]\n\n<!-- begin $_->[0] -->\nNot measured yet.\n"
        . "<!-- end $_->[0] -->\n" for @SECTIONS;
    return $text;
}

# The list of its sections, above the first one.
sub with_contents {
    my ($text) = @_;
    my $list = join '', map {
        my $anchor = lc s/[^\w\- ]//gr =~ s/ /-/gr;
        "- [$_](#$anchor)\n"
    } $text =~ /^## (.*)$/mg;
    return $text =~ s/(?:^- \[.*\n)*\n?(?=^## )/$list\n/mr;
}

sub slurp {
    my ($path) = @_;
    open my $fh, '<', $path or return;
    local $/;
    return scalar <$fh>;
}

sub machine {
    my $cpuinfo = slurp('/proc/cpuinfo') // '';
    my ($model) = $cpuinfo =~ /^model name\s*:\s*(.*)$/m;
    my $cores = () = $cpuinfo =~ /^processor\s*:/mg;
    my (undef, undef, $release) = POSIX::uname();
    return sprintf '%s, %d core%s, Linux %s', $model // 'unknown processor',
        $cores, $cores == 1 ? '' : 's', $release;
}

# First line of what a program says of its version, or undef.
sub version {
    my (@command) = @_;
    open my $pipe, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command
        or return;
    my ($line) = <$pipe>;
    close $pipe;
    chomp $line if defined $line;
    return $line;
}

# A trial of a few rounds leaves the files as they are.
sub write {
    my ($name, $markdown, %opt) = @_;
    return print "a trial: not written\n"
        if $ENV{BENCH_QUICK} || ($ENV{BENCH_ROUNDS} // 20) < 20;
    my $text = slurp($FILE) // skeleton();
    my $section = join "\n", "<!-- begin $name -->", $markdown =~ s/\s+\z//r, '',
        "Machine: " . machine() . '.',
        ($opt{versions} ? "Versions: $opt{versions}." : ()),
        'Date: ' . strftime('%Y-%m-%d', gmtime) . '.',
        "Repeat it: `$opt{command}`.", "<!-- end $name -->";
    my ($title) = map { $_->[1] } grep { $_->[0] eq $name } @SECTIONS
        or die "no section $name\n";
    $text =~ s/<!-- begin \Q$name\E -->.*?<!-- end \Q$name\E -->/$section/s
        or $text .= "\n## $title\n\n$section\n";
    mkdir "$TOP/docs";
    open my $fh, '>', $FILE or die "$FILE: $!\n";
    print $fh with_contents($text);
    close $fh or die "$FILE: $!\n";
    print "written to docs/performance.md, section $name\n";
    my $item = defined $opt{readme} ? item($opt{readme}) : item_of($name, $markdown);
    readme($name, $item) if defined $item;
    ImxBytes::write($markdown) if $name eq 'bytes';
}

sub readme {
    my ($name, $item) = @_;
    my $text = slurp($README) // return;
    $text =~ s/(<!-- begin \Q$name\E -->\n).*?(<!-- end \Q$name\E -->)/$1$item$2/s
        or return;
    open my $fh, '>', $README or die "$README: $!\n";
    print $fh $text;
    close $fh or die "$README: $!\n";
    print "written to README.md\n";
}

1;

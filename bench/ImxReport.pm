# ImxReport.pm: owns docs/performance.md: one section a benchmark, each between
# <!-- begin NAME --> and <!-- end NAME -->; a benchmark replaces only its own.
#
#   ImxReport::write('encoder', $markdown, command => 'make bench-encoder');
package ImxReport;

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use POSIX qw(strftime);

my $TOP = abs_path(dirname(__FILE__) . '/..');
our $FILE = "$TOP/docs/performance.md";

my @SECTIONS = (
    [bombardier   => 'Under load, with and without'],
    [instructions => 'Instructions a request'],
    [fields       => 'What each tag and field costs'],
    [encoder      => 'The line encoder'],
    [flusher      => 'The flusher'],
    [beat         => 'Delivery has no beat'],
    [buffer       => 'An idle holder of a large buffer'],
    [hung         => 'While InfluxDB hangs'],
    [write        => 'Points of applications'],
    [vhosts       => 'Virtual hosts'],
    [counted      => 'What is counted'],
    [idle         => 'Children that do nothing'],
    [scrape       => 'What Prometheus\' asking costs'],
);

sub skeleton {
    my $text = "# Performance\n\nEvery section is written by the command it "
        . "names; nothing here is typed in by hand.\n";
    $text .= "\n## $_->[1]\n\n<!-- begin $_->[0] -->\nNot measured yet.\n"
        . "<!-- end $_->[0] -->\n" for @SECTIONS;
    return $text;
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

sub write {
    my ($name, $markdown, %opt) = @_;
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
    print $fh $text;
    close $fh or die "$FILE: $!\n";
    print "written to docs/performance.md, section $name\n";
}

1;

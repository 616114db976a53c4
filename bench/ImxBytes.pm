# ImxBytes.pm: what follows from the bytes of a point for a day and for a fleet: the
# tables of docs/sizing.md and docs/scaling.md, out of section "bytes" of
# docs/performance.md, so that no page has a figure of another run.
#
#   ImxBytes::write($markdown);     # as bench/bytes.pl prints it
#   ImxBytes::tables($markdown)     # { path => { marker => text } }
package ImxBytes;

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $TOP = abs_path(dirname(__FILE__) . '/..');
my $RATE = 5000;            # requests a second of one server
my $SERVERS = 1000;
my $DAY = 86_400;
# How often a minute each measurement is written by default; events when they are.
my %TIMES = ('influx-metrics' => 6, 'process-info' => 6, 'request-buckets' => 1,
    'request-metrics' => 6, 'resource-pressure' => 6, 'worker-states' => 6);

sub thousands {
    my $digits = reverse sprintf '%.0f', $_[0];
    return scalar reverse $digits =~ s/(\d{3})(?=\d)/$1,/gr;
}

sub table {
    my ($head, @rows) = @_;
    my ($first, @others) = map { join('', map { "| $_ " } @$_) =~ s/  +/ /gr . "|\n" }
        $head, @rows;
    return join '', $first, '|---' x @$head, "|\n", @others;
}

# Rows of the table whose head begins with a word.
sub rows {
    my ($markdown, $word) = @_;
    my ($body) = $markdown =~ /^\| \Q$word\E \|.*\n\|-.*\n((?:\|.*\n)+)/m
        or die "no table of $word\n";
    return map { [map { s/^\s+|\s+$//gr } split /\|/, s/^\|//r] } split /\n/, $body;
}

sub day {
    my (@points) = @_;
    return table(['a point', 'InfluxDB 1.6, bytes', 'a day', 'VictoriaMetrics, bytes',
            'a day', 'series'],
        map {
            my ($kind, $influx, $victoria, $series) = @$_[0, 3, 4, 5];
            [$kind, $influx, sprintf('%.1f GB', $influx * 1000 * $DAY / 1e9), $victoria,
                sprintf('%.1f GB', $victoria * 1000 * $DAY / 1e9), $series]
        } @points);
}

sub fleet {
    my ($usual, $influx, $victoria) = @_;
    my (undef, $line, $packed, $on_influx, $on_victoria, $series) = @$usual;
    my $wire = $packed * $RATE / 1e6;
    my @disk = map { $_ * $RATE * $DAY / 1e9 } $on_influx, $on_victoria;
    my @cpu = map { $_ * $RATE / 1e6 } $influx, $victoria;
    return table(['', 'one server', thousands($SERVERS) . ' servers'],
        ['points a second', thousands($RATE), thousands($RATE * $SERVERS)],
        ['lines, before packing', sprintf('%.2f MB/s', $line * $RATE / 1e6),
            sprintf('%.0f MB/s', $line * $RATE * $SERVERS / 1e6)],
        ['packed on the wire', sprintf('%.2f MB/s', $wire), sprintf(
            '%.0f MB/s (%.1f Gbit/s)', $wire * $SERVERS, $wire * $SERVERS * 8 / 1000)],
        (map { ["disk of $_->[0], a day", sprintf('%.1f GB', $_->[1]),
            sprintf('%.1f TB', $_->[1] * $SERVERS / 1000)] }
            ['InfluxDB 1', $disk[0]], ['VictoriaMetrics', $disk[1]]),
        (map { ["processors of $_->[0]", sprintf('%.3f', $_->[1]),
            sprintf('%.0f', $_->[1] * $SERVERS)] }
            ['InfluxDB 1', $cpu[0]], ['VictoriaMetrics', $cpu[1]]),
        ['series', $series, thousands($series * $SERVERS)]);
}

# Of one server: lines and bytes a minute.
sub minute {
    my ($lines, $bytes) = (0, 0);
    for (@_) {
        my ($name, $n, $of_each) = @$_;
        my $times = $TIMES{ $name =~ tr/`//dr } // 0;
        $lines += $n * $times;
        $bytes += $n * $times * $of_each;
    }
    return ($lines, $bytes);
}

sub intervals {
    my (@measurements) = @_;
    my ($lines) = minute(@measurements);
    return table(['measurement', 'lines each time', 'times a minute', 'bytes of a line'],
        map {
            my ($name, $n, $bytes) = @$_;
            [$name, $n, $TIMES{ $name =~ tr/`//dr } // 'when it happens', $bytes]
        } @measurements)
        . sprintf "\nThese are %s lines a minute from one server; from %s servers %s a second.\n",
        thousands($lines), thousands($SERVERS), thousands($lines * $SERVERS / 60);
}

sub ways {
    my ($usual, @measurements) = @_;
    my ($lines, $bytes) = map { $_ * $SERVERS / 60 } minute(@measurements);
    my @points = map { $_ * $RATE * $SERVERS } 1, 0.02, 0;
    my @more = (0, 1, 1);
    return table(['', 'all points', '2 % of them, and aggregates', 'aggregates only'],
        ['lines a second', map { thousands($points[$_] + $more[$_] * $lines) } 0 .. 2],
        ['lines, before packing', map {
            my $mb = ($points[$_] * $usual->[1] + $more[$_] * $bytes) / 1e6;
            sprintf $mb < 10 ? '%.2f MB/s' : '%.0f MB/s', $mb } 0 .. 2]);
}

sub tables {
    my ($markdown) = @_;
    my @points = grep { $_->[0] !~ /control/ } rows($markdown, 'points');
    my @measurements = rows($markdown, 'measurement');
    my ($influx, $victoria) = $markdown
        =~ /InfluxDB ([\d.]+), VictoriaMetrics ([\d.]+)\./ or die "no processor time\n";
    my ($head) = $markdown =~ /^(\| points \|.*\n\|-.*\n(?:\|.*\n)+)/m;
    return {
        'docs/sizing.md' => { day => day(@points) },
        'docs/scaling.md' => { bytes => $head,
            fleet => fleet($points[0], $influx, $victoria),
            intervals => intervals(@measurements),
            ways => ways($points[0], @measurements) },
    };
}

sub write {
    my ($markdown) = @_;
    my $tables = tables($markdown);
    for my $path (sort keys %$tables) {
        open my $in, '<', "$TOP/$path" or die "$path: $!\n";
        my $text = do { local $/; <$in> };
        $text =~ s/(<!-- begin $_ -->\n).*?(?=<!-- end $_ -->)/$1$tables->{$path}{$_}/s
            or die "$path: no place for $_\n" for sort keys %{ $tables->{$path} };
        open my $out, '>', "$TOP/$path" or die "$path: $!\n";
        print $out $text;
        close $out or die "$path: $!\n";
        print "written to $path\n";
    }
    return;
}

1;

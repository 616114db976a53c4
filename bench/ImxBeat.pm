# ImxBeat.pm: owns what the module's points say of a beat: the time of requests
# by the slot of the second in which they ended, and a picture of it.
# Nothing is kept.
#
#   my $points = ImxBeat::read_points($file, $seconds, @begins);
#       # lines, as delivered; how long a turn is, and when each began
#   my $j = ImxBeat::judge($points);
#   # { slots => [p99 of each, us], middle, worst, ratio, p999,
#   #   turns => [p99.9 of each, us], values => [those of each slot, us] }
#   ImxBeat::together($runs, $name);    # the ratio of all runs' values
#
# A slot's p99 in one run at 4,000 a second is the 24th of 2,400 values: a
# moment in which the machine did something else is enough to make it the worst
# slot of that run.  A beat comes each second of each run, so it stays where all
# runs are taken together, and such a moment does not.
#
# p99.9 is compared turn by turn: each turn with the other module's right beside
# it, which went before as often as it came after.  The control is a turn against
# the next one of the same module.  Each turn is in one of these pairs only, so
# that they are independent; and the later one is above as often as below: what
# a server does in its first turn, and a machine that gets slower all the time,
# would move the median of the control otherwise.
package ImxBeat;

use strict;
use warnings;
use ImxRounds;

our $SLOTS = 50;

sub median {
    my @v = sort { $a <=> $b } @_;
    return ($v[$#v / 2] + $v[@v / 2]) / 2;
}

sub percentile {
    my ($percent, $values) = @_;
    my @v = sort { $a <=> $b } @$values;
    return $v[int($percent / 100 * $#v + 0.5)];
}

# The number of the turn in which that was; -1: in none of them.
sub turn_of {
    my ($time, $seconds, $begins) = @_;
    my $turn = $#$begins;
    $turn-- while $turn >= 0 && $begins->[$turn] > $time;
    return $turn >= 0 && $time < $begins->[$turn] + $seconds ? $turn : -1;
}

# count: of all points, each once (their times are unique); those of no turn are
# not looked at further.  Times are seconds since 1970.
sub read_points {
    my ($file, $seconds, @begins) = @_;
    my %points = (count => 0, slots => [map { [] } 1 .. $SLOTS], all => [],
        turns => [map { [] } @begins]);
    my %seen;
    open my $in, '<', $file or die "$file: $!\n";
    while (my $line = <$in>) {
        next if $line !~ /^raw-requests,/;      # of an interval
        my ($took, $s, $ns) =
            $line =~ /[ ,]request_time=([\d.e-]+).* (\d+)(\d{9})$/
            or die "$file: no point: $line";
        next if $seen{"$s$ns"}++;
        $points{count}++;
        my $turn = turn_of("$s.$ns", $seconds, \@begins);
        next if $turn < 0;
        my $slot = int $ns / (1e9 / $SLOTS);
        push @$_, $took * 1e6
            for $points{slots}[$slot], $points{turns}[$turn], $points{all};
    }
    close $in;
    return \%points;
}

sub worst_of_median {
    my ($worst) = sort { $b <=> $a } @_;
    return $worst / median(@_);
}

# Of two lists as long as each other.
sub ratios {
    my ($turns, $others) = @_;
    return map { $turns->[$_] / $others->[$_] } 0 .. $#$turns;
}

# Pairs of a list's neighbours, later to earlier.
sub neighbours {
    my ($turns) = @_;
    return map { $turns->[2 * $_ + 1] / $turns->[2 * $_] } 0 .. @$turns / 2 - 1;
}

# Of the lists of all runs, as they are and the other way round, one after the
# other.  Two runs in a row have another server first each, and begin with the
# same; the next two begin with the opposite: so this is even where a run has an
# odd number of pairs, too.
sub ratios_to_itself {
    my @runs = @_;
    return map {
        my ($run, @later) = ($_, neighbours($runs[$_]));
        map { (int($run / 2) + $_) % 2 ? 1 / $later[$_] : $later[$_] } 0 .. $#later;
    } 0 .. $#runs;
}

# How sure the median is: { median, interval, n }.
sub median_of {
    my @ratios = @_;
    return { median => median(@ratios), n => scalar @ratios,
        interval => [ImxRounds::interval(@ratios)] };
}

# Of runs [{ NAME => judged }]: what is said of p99.9, and of its control.
sub compare {
    my ($runs, $name, $control) = @_;
    return { %{ median_of(map {
            ratios($_->{$name}{turns}, $_->{$control}{turns}) } @$runs) },
        control => median_of(ratios_to_itself(map {
            $_->{$control}{turns} } @$runs)) };
}

# Goals, in words.  What the machine does can be told from what delivery does
# only where it does less.
our ($REACHED, $MISSED, $UNKNOWN) = ('reached', 'not reached', 'cannot be told');

# Ratios of runs, and those without delivery, which may be over the goal too.
sub is_below {
    my ($goal, $ours, $control) = @_;
    return median(@$ours) <= $goal ? $REACHED
        : (grep { $_ > $goal } @$control) ? $UNKNOWN : $MISSED;
}

# Of compare(): only what all of the interval says is said.  A control that is
# not the same as itself says that something else than delivery is measured.
sub is_no_more {
    my ($goal, $ratio) = @_;
    my ($low, $high) = @{ $ratio->{interval} };
    return $UNKNOWN if !defined $high || !is_even($ratio);
    return $high <= $goal ? $REACHED : $low > $goal ? $MISSED : $UNKNOWN;
}

# Is the control the same as itself?  undef: too few turns to know.
sub is_even {
    my ($from, $to) = @{ $_[0]{control}{interval} };
    return defined $to ? $from <= 1 && $to >= 1 || 0 : undef;
}

# Of compare(), in words: the median only where it is not 1 for certain, and more
# than what the control may be; else its range alone, in percent.
sub told {
    my ($ratio) = @_;
    my ($low, $high) = @{ $ratio->{interval} };
    my $words = ImxRounds::confident($ratio);
    return $words if !defined $high;
    my ($ours, @control) = map { abs log } $ratio->{median},
        @{ $ratio->{control}{interval} };
    return $words if is_even($ratio) && ($low > 1 || $high < 1)
        && !grep { $_ >= $ours } @control;
    return 'not distinguishable ' . $words =~ s/^[^(]*//r;
}

sub judge {
    my ($points) = @_;
    my @slots = map { @$_ ? percentile(99, $_) : die "a slot is empty\n" }
        @{ $points->{slots} };
    my ($worst) = sort { $b <=> $a } @slots;
    return { slots => \@slots, middle => median(@slots), worst => $worst,
        ratio => worst_of_median(@slots), values => $points->{slots},
        p999 => percentile(99.9, $points->{all}),
        turns => [map { @$_ ? percentile(99.9, $_) : die "a turn is empty\n" }
            @{ $points->{turns} }] };
}

sub together {
    my ($runs, $name) = @_;
    return worst_of_median(map {
        my $slot = $_;
        percentile(99, [map { @{ $_->{$name}{values}[$slot] } } @$runs]);
    } 0 .. $SLOTS - 1);
}

# The slots of the run whose ratio is the middle one.
sub middle_run {
    my ($runs, $how) = @_;
    my @sorted = sort { $a->{ratio} <=> $b->{ratio} } map { $_->{$how} } @$runs;
    return $sorted[$#sorted / 2]{slots};
}

# ---- the picture ----

my ($WIDTH, $HEIGHT, $LEFT, $TOP, $GAP) = (560, 170, 60, 44, 70);
my @COLORS = ('#c2410c', '#2563eb');

# A round number of us at the top of the axis.
sub top_of {
    my ($most) = @_;
    my $unit = 10 ** int(log($most) / log(10));
    for my $times (1, 2, 3, 5, 10) {
        return $unit * $times if $unit * $times >= $most;
    }
    return 20 * $unit;
}

sub panel {
    my ($panel, $y) = @_;
    my ($most) = sort { $b <=> $a } map { @{ $_->{slots} } }
        @{ $panel->{lines} };
    my $top = top_of($most);
    my $text = sprintf qq{<text x="%d" y="%d" font-weight="bold">%s</text>\n},
        $LEFT, $y - 12, $panel->{title};
    for my $part (0, 0.5, 1) {
        my $at = $y + $HEIGHT * (1 - $part);
        $text .= sprintf qq{<path d="M%d %.1fh%d" stroke="#999" }
            . qq{stroke-width="0.5"/><text x="%d" y="%.1f" }
            . qq{text-anchor="end">%g us</text>\n},
            $LEFT, $at, $WIDTH, $LEFT - 6, $at + 4, $top * $part;
    }
    for my $ms (0, 200, 400, 600, 800, 1000) {
        $text .= sprintf qq{<text x="%.1f" y="%d" text-anchor="middle">%d}
            . qq{</text>\n}, $LEFT + $WIDTH * $ms / 1000, $y + $HEIGHT + 16,
            $ms;
    }
    for my $i (0 .. $#{ $panel->{lines} }) {
        my $slots = $panel->{lines}[$i]{slots};
        $text .= sprintf qq{<path d="M%s" fill="none" stroke="%s" }
            . qq{stroke-width="1.5"/>\n}, join('L', map {
                sprintf '%.1f %.1f', $LEFT + $WIDTH * ($_ + 0.5) / @$slots,
                    $y + $HEIGHT * (1 - $slots->[$_] / $top)
            } 0 .. $#$slots), $COLORS[$i];
    }
    return $text;
}

sub plot {
    my ($file, $panels) = @_;
    my $height = $TOP + @$panels * ($HEIGHT + $GAP);
    my $text = sprintf qq{<svg xmlns="http://www.w3.org/2000/svg" }
        . qq{width="%d" height="%d" viewBox="0 0 %d %d" }
        . qq{font-family="sans-serif" font-size="12">\n}
        . qq{<rect width="100%%" height="100%%" fill="#fff"/>\n},
        ($LEFT + $WIDTH + 20, $height) x 2;
    my $x = $LEFT;
    for my $i (0 .. $#{ $panels->[0]{lines} }) {
        my $name = $panels->[0]{lines}[$i]{name};
        $text .= sprintf qq{<text x="%d" y="16" fill="%s">p99, %s</text>\n},
            $x, $COLORS[$i], $name;
        $x += 260;
    }
    $text .= panel($panels->[$_], $TOP + 16 + $_ * ($HEIGHT + $GAP))
        for 0 .. $#$panels;
    $text .= sprintf qq{<text x="%d" y="%d" text-anchor="middle">ms of the }
        . qq{second</text>\n</svg>\n}, $LEFT + $WIDTH / 2, $height - 14;
    open my $out, '>', $file or die "$file: $!\n";
    print $out $text;
    close $out or die "$file: $!\n";
}

1;

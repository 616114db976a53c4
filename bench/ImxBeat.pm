# ImxBeat.pm: owns what the module's points say of a beat: the time of requests
# by the slot of the second in which they ended, and a picture of it.
# Nothing is kept.
#
#   my $points = ImxBeat::read_points($file, $seconds, \@begins, \@runs);
#       # lines, as delivered; how long a turn is, and when each began; when the
#       # module's threads ran (ImxSwitch.pm), undef: that is not known
#   # { count, turns => [turn], less => [turn without the threads' time] }
#   my $j = ImxBeat::judge($turns, $less);      # of one run
#   # { slots => [p99 of each, us], middle, worst, ratio, p999,
#   #   turns => [p99.9 of each, us], seconds => [[those of each slot, us]],
#   #   less => { p999, seconds } }
#   ImxBeat::together($runs, $name);    # the ratio of all runs' values, and
#   #   that of those without the threads' time
#   ImxBeat::chance($runs, $name, 200); # both ratios where no slot means anything
#
# A slot's p99 in one run at 4,000 a second is the 24th of 2,400 values: a
# moment in which the machine did something else is enough to make it the worst
# slot of that run.  A holder keeps the moment of the second at which it begins to
# deliver, as long as it lives (holder.c, first_tick()).  So a beat is in the same
# slot of all runs of one server: it stays where they are taken together, and
# what the machine did once does not.  What a ratio is by chance is told by the
# same values with the slots of each second turned round by an amount of its own:
# each second is as it was, and nothing comes at the same moment of each any more
# (a permutation test: R. A. Fisher, The Design of Experiments, 1935; P. Good,
# Permutation, Parametric and Bootstrap Tests of Hypotheses, 3rd edition, 2005).
#
# p99.9 is compared turn by turn: each turn with the other module's right beside
# it, which went before as often as it came after.  The control is a turn against
# the next one of the same module.  Each turn is in one of these pairs only, so
# that they are independent; and the later one is above as often as below: what
# a server does in its first turn, and a machine that gets slower all the time,
# would move the median of the control otherwise.
#
# What the module's threads add is told more closely by when they had the core.
# On one core that never rests while there is work, requests that are served in
# the order in which they came are kept back by work of d us more for d us at
# most, and only where the core has not rested since.  So without it a request
# would have taken no less than what it took but for the threads' time since the
# core last rested.  A point's time begins when httpd has read the request line:
# what a request waits for before is in no point.
package ImxBeat;

use strict;
use warnings;
use List::Util qw(max min);
use ImxRounds;

our $SLOTS = 50;
# Seconds without a request after which the core has rested.  bombardier sends
# what it owes each 10 ms at once, so a pause between requests of one such burst
# is shorter, and one between two bursts is longer.
our $REST = 5e-4;

*median = \&ImxRounds::median;

# Of n values in order, which one is the percentile: 0 is the first.
sub rank {
    my ($percent, $n) = @_;
    return int($percent / 100 * ($n - 1) + 0.5);
}

sub percentile {
    my ($percent, $values) = @_;
    my @v = sort { $a <=> $b } @$values;
    return $v[rank($percent, scalar @v)];
}

# The number of the turn in which that was; -1: in none of them.
sub turn_of {
    my ($time, $seconds, $begins) = @_;
    my $turn = $#$begins;
    $turn-- while $turn >= 0 && $begins->[$turn] > $time;
    return $turn >= 0 && $time < $begins->[$turn] + $seconds ? $turn : -1;
}

# How much of $runs, [from, to] in order and not over one another, is in there.
sub overlap {
    my ($runs, $from, $to) = @_;
    my ($low, $high) = (0, scalar @$runs);      # the first that ends behind $from
    while ($low < $high) {
        my $at = int(($low + $high) / 2);
        $runs->[$at][1] <= $from ? ($low = $at + 1) : ($high = $at);
    }
    my $sum = 0;
    for (; $low < @$runs && $runs->[$low][0] < $to; $low++) {
        $sum += min($to, $runs->[$low][1]) - max($from, $runs->[$low][0]);
    }
    return $sum;
}

# When the core last rested before each request: of [begin, end, is a request]
# in the order of their begins, threads' times among them.
sub rested {
    my ($rested, $until) = (0, -1);
    return map {
        my ($from, $to, $is_request) = @$_;
        $rested = $from if $from > $until + $REST;
        $until = max($until, $to);
        $is_request ? $rested : ();
    } @_;
}

# What requests [begin, end ...], in the order of their begins, would have taken
# at least, us.
sub less {
    my ($runs, @requests) = @_;
    my @rested = rested(sort { $a->[0] <=> $b->[0] }
        map({ [@$_[0, 1], 1] } @requests), map { [@$_[0, 1], 0] } @$runs);
    return map {
        my ($from, $to) = @{ $requests[$_] };
        max(0, $to - $from - overlap($runs, $rested[$_], $to)) * 1e6;
    } 0 .. $#requests;
}

# A turn: { all => [us], seconds => { second => [[us] of each slot] } }.
sub keep {
    my ($turns, $us, $turn, $second, $slot) = @_;
    push @$_, $us for $turns->[$turn]{all}, $turns->[$turn]{seconds}{$second}[$slot];
}

# count: of all points, each once (their times are unique); those of no turn are
# not looked at further.  Times are seconds since 1970, and since the second in
# which the first turn began.
sub read_points {
    my ($file, $seconds, $begins, $runs) = @_;
    my ($count, %seen, @requests, @turns) = (0);
    my $first = int $begins->[0];
    open my $in, '<', $file or die "$file: $!\n";
    while (my $line = <$in>) {
        next if $line !~ /^raw-requests,/;      # of an interval
        my ($took, $s, $ns) =
            $line =~ /[ ,]request_time=([\d.e-]+).* (\d+)(\d{9})$/
            or die "$file: no point: $line";
        next if $seen{"$s$ns"}++;
        $count++;
        my $end = $s - $first + $ns / 1e9;
        my $turn = turn_of("$s.$ns", $seconds, $begins);
        my @place = $turn < 0 ? () : ($turn, $s, int $ns / (1e9 / $SLOTS));
        keep(\@turns, $took * 1e6, @place) if @place;
        push @requests, [$end - $took, $end, @place] if $runs;
    }
    close $in;
    return { count => $count, turns => \@turns,
        less => $runs && freed(\@requests, [map {
            [$_->[0] - $first, $_->[1] - $first] } @$runs]) };
}

# The turns of requests, which are put in order, without the threads' time.
sub freed {
    my ($requests, $runs) = @_;
    my @turns;
    @$requests = sort { $a->[0] <=> $b->[0] } @$requests;
    my @less = less($runs, @$requests);
    for (0 .. $#less) {
        my (undef, undef, @place) = @{ $requests->[$_] };
        keep(\@turns, $less[$_], @place) if @place;
    }
    return \@turns;
}

# Of a slot of each of these seconds; a turn begins and ends within one.
sub values_of {
    my ($slot, @seconds) = @_;
    return map { @{ $_->[$slot] // [] } } @seconds;
}

sub seconds_of {
    return map { my $seconds = $_->{seconds}; @$seconds{ sort keys %$seconds } } @_;
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

# Of a ratio, and what it is by chance.
sub is_below {
    my ($goal, $ratio, $chance) = @_;
    return $ratio <= $goal ? $REACHED
        : $ratio <= $chance->{most} ? $UNKNOWN : $MISSED;
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
    my ($turns, $less) = @_;
    my @seconds = seconds_of(@$turns);
    my @slots = slots(@seconds);
    my ($worst) = sort { $b <=> $a } @slots;
    return { slots => \@slots, middle => median(@slots), worst => $worst,
        ratio => worst_of_median(@slots), seconds => \@seconds,
        p999 => p999(@$turns),
        less => $less && { p999 => p999(@$less), seconds => [seconds_of(@$less)] },
        turns => [map { p999($_) } @$turns] };
}

sub p999 {
    my @us = map { $_ ? @{ $_->{all} } : die "a turn is empty\n" } @_;
    return percentile(99.9, \@us);
}

# p99 of each.
sub slots {
    my (@seconds) = @_;
    return map {
        my @v = values_of($_, @seconds);
        @v ? percentile(99, \@v) : die "a slot is empty\n";
    } 0 .. $SLOTS - 1;
}

sub together {
    my ($runs, $name) = @_;
    return map {
        my @seconds = map { @{ $_->{seconds} } } grep { defined } @$_;
        @seconds ? worst_of_median(slots(@seconds)) : undef;
    } [map { $_->{$name} } @$runs], [map { $_->{$name}{less} } @$runs];
}

# The same seconds, each turned round.
sub turned {
    return map {
        my $by = int rand $SLOTS;
        [@$_[map { ($_ + $by) % $SLOTS } 0 .. $SLOTS - 1]];
    } @_;
}

# Of ratios by chance: the middle one, the one that 95 in 100 are not above, and
# all of them.
sub usual {
    return { median => median(@_), most => percentile(95, \@_), all => \@_ };
}

# How often chance makes as much: p of the permutation test.
sub how_often {
    my ($ratio, $chance) = @_;
    my $all = $chance->{all};
    return (1 + grep { $_ >= $ratio } @$all) / (1 + @$all);
}

# Seconds, of each slot how many values there are and which are the largest: a
# p99 needs no others.
sub largest {
    my (@seconds) = @_;
    my $least = percentile(95, [map { values_of($_, @seconds) } 0 .. $SLOTS - 1]);
    return map {
        my $second = $_;
        [map {
            my @v = values_of($_, $second);
            [scalar @v, grep { $_ >= $least } @v];
        } 0 .. $SLOTS - 1];
    } @seconds;
}

# worst_of_median() of slots() of what largest() was made of.
sub worst_of_largest {
    my (@seconds) = @_;
    return worst_of_median(map {
        my ($slot, $n, @v) = ($_, 0);
        for my $second (@seconds) {
            my ($count, @largest) = @{ $second->[$slot] };
            $n += $count;
            push @v, @largest;
        }
        @v = sort { $b <=> $a } @v;
        $v[$n - 1 - rank(99, $n)] // $v[-1];
    } 0 .. $SLOTS - 1);
}

# What the ratio in the median of the runs and together() are by chance.
sub chance {
    my ($runs, $name, $times) = @_;
    my @runs = map { [largest(@{ $_->{$name}{seconds} })] } @$runs;
    my (@of_runs, @together);
    for (1 .. $times) {
        my @turned = map { [turned(@$_)] } @runs;
        push @of_runs, median(map { worst_of_largest(@$_) } @turned);
        push @together, worst_of_largest(map { @$_ } @turned);
    }
    return { runs => usual(@of_runs), together => usual(@together) };
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

# ImxRounds.pm: comparisons that hold on a machine that does other things, too.
# Short rounds; in each of them every subject is measured right beside the base
# of its group, before it in one round and behind it in the next; each such pair
# makes one ratio.  A group has a control, the base once more: what its ratios
# spread is what the machine does to all of them.
#
#   my $rounds = ImxRounds->new(rounds => 20, measure => sub {
#       my ($subject) = @_; ...; return { rps => ..., cpu => ... } });
#   my $group = $rounds->group($base, $control, $other ...);  # hashes with name
#   $rounds->run;
#   $group->compare($other, 'rps');   # { q1, median, q3, control => {...} }
#   print $group->table('12-byte file', [rps => 'requests a second', '%.0f'], ...);
#
# What is printed of a ratio is how much more or less it is, in percent, median
# and quartiles.  Nothing is printed of one that the control reaches by itself:
# it is "not distinguishable".
#
# Of many ratios that spread widely, each by itself, the median is known better
# than the quartiles say: interval() tells how well, whatever their distribution
# is.  Each ratio is below the true median or above it, as a coin falls; so the
# number of those below is binomial, and the interval ends at the values that
# the sign test does not refuse.  (W. R. Thompson, On Confidence Ranges for the
# Median and Other Expectation Distributions for Populations of Unknown
# Distribution Form, Annals of Mathematical Statistics 7, 1936; H. A. David and
# H. N. Nagaraja, Order Statistics, 3rd edition, 2003, section 7.1.)
package ImxRounds;

use strict;
use warnings;
use List::Util qw(max min);

our $SAME = 'not distinguishable';

# ---- arithmetic ----

# The three quartiles; between two values, in proportion.
sub quartiles {
    my @v = sort { $a <=> $b } @_;
    die "no values\n" if !@v;
    return map {
        my $at = $_ * $#v;
        my $low = int $at;
        my $high = $low < $#v ? $low + 1 : $low;
        $v[$low] + ($at - $low) * ($v[$high] - $v[$low]);
    } 0.25, 0.5, 0.75;
}

sub median { return (quartiles(@_))[1] }

# How many of n values lie outside of the interval, on each side: the most of
# which as few or fewer fall there by chance in 2.5 % of all cases at most.
sub outside {
    my ($n) = @_;
    my ($k, $log, $below) = (0, -$n * log 2, 0);
    while ($k < $n) {
        $below += exp $log;         # of k successes or fewer in n, each 1/2
        last if $below > 0.025;
        $log += log(($n - $k) / ($k + 1));
        $k++;
    }
    return $k;
}

# (low, high) of the median, 95 % or a little more; nothing where there are less
# than six values: not even their range is that sure.
sub interval {
    my @v = sort { $a <=> $b } @_;
    my $k = outside(scalar @v);
    return $k > 0 ? @v[$k - 1, @v - $k] : ();
}

# Of ratios, one a pair.
sub summary {
    my %s;
    @s{qw(q1 median q3)} = quartiles(@_);
    return \%s;
}

# How wide a control is: between its quartiles, or from equality to the farther
# one, as it may be wrong to one side, too.
sub spread {
    my ($control) = @_;
    return max($control->{q3} - $control->{q1}, abs($control->{q1} - 1),
        abs($control->{q3} - 1));
}

# It is larger than the control, and not on both sides of equality itself.
sub distinguishable {
    my ($ratio, $control) = @_;
    return abs($ratio->{median} - 1) > spread($control)
        && ($ratio->{q1} - 1) * ($ratio->{q3} - 1) > 0;
}

# ---- in words ----

sub percent {
    my ($ratio) = @_;
    my $more = ($ratio - 1) * 100;
    return sprintf abs $more < 9.95 ? '%+.1f' : '%+.0f', $more;
}

# "+1.9 % (+1.2 .. +2.6)"
sub words {
    my ($ratio) = @_;
    return sprintf '%s %% (%s .. %s)',
        map { percent($ratio->{$_}) } qw(median q1 q3);
}

# The median with its interval: of { median, interval }.
sub confident {
    my ($ratio) = @_;
    return percent($ratio->{median}) . ' % ' . (@{ $ratio->{interval} }
        ? sprintf '(%s .. %s)', map { percent($_) } @{ $ratio->{interval} }
        : '(too few to tell more)');
}

sub cell {
    my ($ratio, $control) = @_;
    return distinguishable($ratio, $control) ? words($ratio) : $SAME;
}

# Of differences, as of instructions: the median, unless two equal ones, the
# control's, differ by as much.
sub difference {
    my ($control, @differences) = @_;
    my $median = median(@differences);
    return abs $median > max(map { abs } @$control)
        ? sprintf '%+.0f', $median : $SAME;
}

# Two cells of a table: the same, or of the control (there is none before it) the
# median itself; and the range of the differences.
sub added {
    my ($control, @differences) = @_;
    return sprintf '%s | %.0f .. %.0f', $control
        ? difference($control, @differences)
        : sprintf('%+.0f', median(@differences)),
        min(@differences), max(@differences);
}

# "17.2 (17.1 .. 17.4)", the range around the median.
sub ranged {
    my ($format, @values) = @_;
    return sprintf "$format ($format .. $format)", median(@values),
        min(@values), max(@values);
}

# For a sentence: "+1.9 % processor time a request".
sub sentence {
    my ($ratio, $what) = @_;
    return distinguishable($ratio, $ratio->{control})
        ? percent($ratio->{median}) . " % $what"
        : sprintf '%s %s (equal servers differ by %.1f %%)',
            $what, $SAME, 100 * spread($ratio->{control});
}

# ---- rounds ----

sub new {
    my ($class, %o) = @_;
    return bless { rounds => 20, say => 1, groups => [], %o }, $class;
}

sub group {
    my ($self, $base, $control, @others) = @_;
    my $group = bless { base => $base, control => $control,
        others => [@others], pairs => {}, values => {} }, 'ImxRounds::Group';
    push @{ $self->{groups} }, $group;
    return $group;
}

sub run {
    my ($self) = @_;
    for my $round (1 .. $self->{rounds}) {
        print STDERR "# round $round of $self->{rounds}\n" if $self->{say};
        for my $group ($round % 2 ? @{ $self->{groups} }
                : reverse @{ $self->{groups} }) {
            $group->_round($self->{measure}, $round % 2);
        }
    }
    return $self;
}

package ImxRounds::Group;

use strict;
use warnings;

# Two of the others share a run of the base, which is between them.
sub _round {
    my ($self, $measure, $odd) = @_;
    my @others = ($self->{control}, @{ $self->{others} });
    while (my @pair = splice @others, 0, 2) {
        my @order = $odd ? ($pair[0], $self->{base}, @pair[1 .. $#pair])
            : (@pair[1 .. $#pair], $self->{base}, $pair[0]);
        my %got = map { $_->{name} => $measure->($_) } @order;
        $self->_note($got{ $_->{name} }, $got{ $self->{base}{name} }, $_)
            for @pair;
        push @{ $self->{values}{ $self->{base}{name} } },
            $got{ $self->{base}{name} };
    }
}

sub _note {
    my ($self, $got, $base, $subject) = @_;
    my $name = $subject->{name};
    push @{ $self->{values}{$name} }, $got;
    for my $what (keys %$got) {
        push @{ $self->{pairs}{$name}{$what} }, $got->{$what} / $base->{$what}
            if defined $got->{$what} && $base->{$what};
    }
}

# What was measured itself.
sub all {
    my ($self, $subject, $what) = @_;
    return grep { defined } map { $_->{$what} }
        @{ $self->{values}{ $subject->{name} } };
}

sub value {
    my ($self, $subject, $what) = @_;
    my @v = $self->all($subject, $what);
    return @v ? ImxRounds::median(@v) : undef;
}

# With the control of the same column; undef if there is nothing.
sub compare {
    my ($self, $subject, $what) = @_;
    my ($ratio, $control) = map {
        my $pairs = $self->{pairs}{ $_->{name} }{$what} or return;
        ImxRounds::summary(@$pairs);
    } $subject, $self->{control};
    return { %$ratio, control => $control };
}

sub cells {
    my ($self, $subject, $what, $format) = @_;
    my $value = $self->value($subject, $what);
    my $text = defined $value ? sprintf $format, $value : '-';
    return ($text, '') if $subject == $self->{base};
    my $ratio = $self->compare($subject, $what) // return ($text, '-');
    return ($text, $subject == $self->{control} ? ImxRounds::words($ratio)
        : ImxRounds::cell($ratio, $ratio->{control}));
}

# Columns: [key, heading, format].
sub table {
    my ($self, $title, @columns) = @_;
    my $text = '| ' . join(' | ', $title,
        map { ($_->[1], 'against the first') } @columns) . " |\n"
        . '|---' x (1 + 2 * @columns) . "|\n";
    for my $s ($self->{base}, $self->{control}, @{ $self->{others} }) {
        $text .= '| ' . join(' | ', $s->{name},
            map { $self->cells($s, @$_[0, 2]) } @columns) . " |\n";
    }
    return $text;
}

1;

# ImxPlot.pm: lines in panels, one above the other, as an SVG that needs nothing
# else and is legible on a white and on a dark page.
#
#   ImxPlot::write($path, { title => ..., x => 'tags', y => 'instructions',
#       log => 1, lines => { name => [[x, y], ...], ... } }, ...);
package ImxPlot;

use strict;
use warnings;
use List::Util qw(max min);

my ($WIDTH, $HEIGHT, $LEFT, $RIGHT, $TOP, $BOTTOM) = (720, 244, 84, 36, 48, 44);
my @COLOURS = ('#2a78d6', '#c2571a', '#2f9e44', '#9c36b5');

sub text {
    my ($x, $y, $text, $anchor, $more) = @_;
    $text =~ s/&/&amp;/g;
    $text =~ s/</&lt;/g;
    return sprintf qq{<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>\n},
        $x, $y, $anchor // 'start', $more // '', $text;
}

# A round number not below the value: 1, 2 or 5 times a power of ten.
sub round_up {
    my ($value) = @_;
    my $power = 10 ** int(log($value || 1) / log(10) - ($value < 1 ? 1 : 0));
    for my $times (1, 2, 5, 10) {
        return $times * $power if $times * $power >= $value * 0.999;
    }
}

sub number {
    my ($n) = @_;
    my $text = sprintf abs $n >= 10 || $n == int $n ? '%.0f' : '%.2g', $n;
    1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;
    return $text;
}

# A scale of x: by value, or by its logarithm.
sub scale {
    my ($panel, @x) = @_;
    my $of = $panel->{log} ? sub { log($_[0] || 1) } : sub { $_[0] };
    my ($low, $high) = ($of->(min @x), $of->(max @x));
    return sub { $LEFT + ($of->($_[0]) - $low) / (($high - $low) || 1)
        * ($WIDTH - $LEFT - $RIGHT) };
}

sub panel {
    my ($p, $down) = @_;
    my @points = map { @$_ } values %{ $p->{lines} };
    my %x = map { $_->[0] => 1 } @points;
    my @x = sort { $a <=> $b } keys %x;
    my $top = round_up(max(map { $_->[1] } @points) || 1);
    my $at_x = scale($p, @x);
    my $floor = $down + $HEIGHT - $BOTTOM;
    my $at_y = sub { $floor - $_[0] / $top * ($HEIGHT - $TOP - $BOTTOM) };
    my $svg = text($LEFT, $down + 20, $p->{title}, 'start',
        ' font-weight="bold"');
    for my $part (0, 0.5, 1) {
        my $y = $at_y->($part * $top);
        $svg .= sprintf qq{<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" }
            . qq{stroke="#888" stroke-width="0.5"/>\n}, $LEFT, $WIDTH - $RIGHT,
            $y, $y;
        $svg .= text($LEFT - 6, $y + 4, number($part * $top), 'end');
    }
    $svg .= text($at_x->($_), $floor + 16, number($_), 'middle') for @x;
    $svg .= text(($LEFT + $WIDTH - $RIGHT) / 2, $floor + 34, $p->{x}, 'middle');
    $svg .= text(14, ($down + $TOP + $floor) / 2, $p->{y}, 'middle',
        sprintf ' transform="rotate(-90 14 %.1f)"', ($down + $TOP + $floor) / 2);
    my ($n, $right) = (0, $WIDTH - $RIGHT);
    for my $name (sort keys %{ $p->{lines} }) {
        my $colour = $COLOURS[$n++ % @COLOURS];
        my @line = sort { $a->[0] <=> $b->[0] } @{ $p->{lines}{$name} };
        my @at = map { [$at_x->($_->[0]), $at_y->($_->[1])] } @line;
        $svg .= sprintf qq{<polyline fill="none" stroke="%s" stroke-width="2" }
            . qq{points="%s"/>\n}, $colour,
            join ' ', map { sprintf '%.1f,%.1f', @$_ } @at;
        $svg .= sprintf qq{<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>\n},
            @$_, $colour for @at;
        $svg .= text($right, $down + 20 + 14 * ($n - 1), $name, 'end',
            qq{ fill="$colour"});
    }
    return $svg;
}

sub write {
    my ($path, @panels) = @_;
    my $height = $HEIGHT * @panels;
    my $svg = qq{<svg xmlns="http://www.w3.org/2000/svg" width="$WIDTH" }
        . qq{height="$height" viewBox="0 0 $WIDTH $height" font-size="12" }
        . qq{font-family="sans-serif" fill="#777">\n};
    $svg .= panel($panels[$_], $_ * $HEIGHT) for 0 .. $#panels;
    open my $out, '>', $path or die "$path: $!\n";
    print $out "$svg</svg>\n";
    close $out or die "$path: $!\n";
}

1;

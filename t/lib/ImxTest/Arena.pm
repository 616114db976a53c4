package ImxTest::Arena;
#
# What stands in the counters of the arena, read from the memory of httpd's
# parent by the directory in the arena's header.
#
use strict;
use warnings;
no warnings 'portable';      # addresses have more than 32 bits
use Exporter qw(import);

our @EXPORT = qw(series series_sum);

my ($STRIPES, $BUCKETS, $CELL, $NAME) = (16, 186, 1664, 256);
# Behind all cells, bytes for each series: maxima, wide totals.
my $BEHIND = 2 * 8 + 2 * $BUCKETS * 8;

# [begin, length] of each shared mapping that can be written to.
sub _mappings {
    my ($pid) = @_;
    open my $maps, '<', "/proc/$pid/maps" or die "/proc/$pid/maps: $!\n";
    return map { /^([0-9a-f]+)-([0-9a-f]+) rw-s / ? [hex $1, hex($2) - hex $1]
        : () } <$maps>;
}

sub _read {
    my ($mem, $at, $len) = @_;
    sysseek $mem, $at, 0 or die "seek: $!\n";
    sysread($mem, my $bytes, $len) // return '';
    return $bytes;
}

# name => bytes of the part.
sub _parts {
    my ($pid) = @_;
    open my $mem, '<', "/proc/$pid/mem" or die "/proc/$pid/mem: $!\n";
    for my $m (_mappings($pid)) {
        my $header = _read($mem, $m->[0], 4096);
        next if substr($header, 0, 8) ne 'imxarena';
        my ($parts) = unpack 'x12 L', $header;
        return map {
            my ($name, undef, $offset, $size) = unpack 'Z16 L x4 Q Q',
                substr $header, 32 + 40 * $_, 40;
            $name =~ /^(?:series|stats)$/
                ? ($name => _read($mem, $m->[0] + $offset, $size)) : ();
        } 0 .. $parts - 1;
    }
    die "no arena was found in process $pid\n";
}

my @NUMBERS = qw(request_ns application_ns max_ns server_ns input_ns output_ns
    bytes_received aborted bytes_sent class_1 class_2 class_3 class_4 class_5
    class_other);
my @OBJECTIVE = qw(objective_total objective_good);

sub _add_cell {
    my ($sum, $cell) = @_;
    my @n = unpack 'Q15', $cell;
    $sum->{$_} += shift @n for @NUMBERS;
    my @buckets = unpack "x128 L@{[ 2 * $BUCKETS ]} Q2", $cell;
    $sum->{ $OBJECTIVE[$_] } += $buckets[$_ - 2] for 0, 1;
    splice @buckets, -2;
    $sum->{buckets} += $_ for @buckets[0 .. $BUCKETS - 1];
    $sum->{application_buckets} += $_ for @buckets[$BUCKETS .. $#buckets];
}

# "server" or "server route" => sums over all stripes, those of names without
# requests included.
sub series {
    my ($h) = @_;
    my %part = _parts($h->pid);
    my $capacity = length($part{stats}) / ($STRIPES * $CELL + $BEHIND);
    my %series;
    for my $i (0 .. unpack('L', $part{series}) - 1) {
        my ($server, $route) = unpack "Z$NAME Z$NAME",
            substr $part{series}, 64 + 2 * $NAME * $i, 2 * $NAME;
        my $sum = $series{ $route eq '' ? $server : "$server $route" } = {};
        _add_cell($sum, substr $part{stats}, ($_ * $capacity + $i) * $CELL,
            $CELL) for 0 .. $STRIPES - 1;
        $sum->{requests} += $sum->{$_} for grep { /^class_/ } keys %$sum;
    }
    return \%series;
}

# One number, over all series.
sub series_sum {
    my ($h, $name) = @_;
    my $series = series($h);
    my $sum = 0;
    $sum += $_->{$name} for values %$series;
    return $sum;
}

1;

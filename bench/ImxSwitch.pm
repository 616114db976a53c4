# ImxSwitch.pm: when some threads had a processor, told by the kernel's tracer
# (tracefs, the event sched:sched_switch).
#
#   my $trace = ImxSwitch->start(@threads);     # ids; undef: not to be had here
#   my @runs = $trace->stop;        # [from, to], seconds since 1970, in order;
#                                   # dies if one was lost; undef $trace ends it
#   ImxSwitch::monitors(@processes);            # the ids of the module's threads
#
# Only switches to and from these threads are kept, so tracing costs the others
# the comparison of two numbers.  The tracer's clock is the monotonic one; the
# distance to the time of day is taken in the end.  It needs root.  Where tracefs
# is not mounted, it is mounted while the program runs, in a place of its own.
package ImxSwitch;

use strict;
use warnings;
use File::Temp qw(tempdir);
use Time::HiRes qw(clock_gettime CLOCK_REALTIME CLOCK_MONOTONIC);

my $TRACEFS = '/sys/kernel/tracing';
my $KEPT = 16384;           # KiB of each core
my $BATCH = 3;              # sched(7): SCHED_BATCH, of which httpd's are none
my $number = 0;
my ($mounted, $by);         # where, and by which process; it can have forked

sub monitors {
    return map {
        map { m{/(\d+)/stat$} && (fields($_))[38] == $BATCH ? $1 : () }
            glob "/proc/$_/task/*/stat"
    } @_;
}

# proc(5): those behind the command, which is the second one.
sub fields {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    my ($rest) = <$in> =~ /.*\) (.*)/ or die "$file: no command\n";
    return split ' ', $rest;
}

sub lines {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    return <$in>;
}

sub set {
    my ($self, $name, $value) = @_;
    open my $out, '>', "$self->{dir}/$name" or return 0;
    syswrite $out, $value or return 0;
    return close $out;
}

sub tracefs {
    return $TRACEFS if -d "$TRACEFS/instances";
    return $mounted if defined $mounted;
    # Nothing cleans it up but END: what is in there is the kernel's.
    my $dir = tempdir('imx-XXXXXX', TMPDIR => 1);
    if (system("mount -t tracefs none $dir 2>/dev/null") != 0) {
        rmdir $dir;
        return undef;
    }
    ($mounted, $by) = ($dir, $$);
    return $mounted;
}

END {
    if (defined $mounted && $by == $$) {
        local $?;
        rmdir for glob "$mounted/instances/imx-$$-*";
        system 'umount', $mounted;
        rmdir $mounted;
    }
}

sub start {
    my ($class, @threads) = @_;
    my $tracefs = tracefs() // return undef;
    my $self = bless { dir => "$tracefs/instances/imx-$$-" . $number++,
        threads => { map { $_ => 1 } @threads } }, $class;
    mkdir $self->{dir} or return undef;
    my $switch = 'events/sched/sched_switch';
    my $filter = join '||', map { "prev_pid==$_||next_pid==$_" } @threads;
    return $self if $self->set(buffer_size_kb => $KEPT)
        && $self->set(trace_clock => 'mono')
        && $self->set("$switch/filter", $filter) && $self->set("$switch/enable", 1);
    return undef;
}

# The kernel keeps an instance until somebody removes it.
sub DESTROY { rmdir $_[0]{dir} }

sub stop {
    my ($self) = @_;
    $self->set('events/sched/sched_switch/enable', 0);
    my $shift = clock_gettime(CLOCK_REALTIME) - clock_gettime(CLOCK_MONOTONIC);
    my @runs = runs($self->{threads}, $shift, lines("$self->{dir}/trace"));
    my $is_whole = !grep { /^(?:overrun|dropped events): [1-9]/ } map { lines($_) }
        glob "$self->{dir}/per_cpu/cpu*/stats";
    die "the tracer's buffer was full\n" if !$is_whole;
    return @runs;
}

# Of the tracer's lines.  A run whose begin or end is not there is left out.
sub runs {
    my ($threads, $shift, @lines) = @_;
    my (%since, @runs);
    for (@lines) {
        my ($time, $from, $to) =
            /\s(\d+\.\d+): sched_switch: .*?prev_pid=(\d+) .*?next_pid=(\d+)/
            or next;
        my $began = delete $since{$from};
        push @runs, [$began + $shift, $time + $shift] if defined $began;
        $since{$to} = $time if $threads->{$to};
    }
    return sort { $a->[0] <=> $b->[0] } @runs;
}

1;

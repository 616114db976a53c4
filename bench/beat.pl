#!/usr/bin/perl
# beat.pl [--runs N] [--more N] [--seconds S] [--rates R,R] [--connections C]
#         [--module FILE]: does delivery have a beat that requests feel?
#
# httpd has one core for itself, the load tool and the server in the place of
# InfluxDB another one.  The times of requests are the module's own points: each
# has its moment (the time stamp) and request_time.  They are sorted by the slot
# of 20 ms of the second in which the request ended; where delivery falls at the
# same moment of each second, one slot is slower than the others.
#
# The control is the module without delivery: its points stay in the buffer
# until httpd stops.  Both servers run at once, and the load goes to one of them
# and the other, in turns of three seconds, so that whatever else the machine
# does falls on both.  Which of the two is first changes from pair to pair; and
# there is a rest after each turn, so that nobody's lines are delivered in the
# turn of the other.  Each turn begins after a second of load, so that there is
# something to deliver in all of it.  --more: so many runs beside, of which only p99.9 is taken,
# which needs many turns to be known well; the slots are those of the others.
# Prints Markdown, writes docs/pictures/beat.svg; fails when a point is lost.
# BENCH_QUICK=1: half a minute; with less than five runs the picture goes into
# the build's directory.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use List::Util qw(max min sum0);
use Time::HiRes qw(time sleep);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxBare;
use ImxBeat;
use ImxLoad;
use ImxReport;
use ImxRounds;

my ($runs, $more, $seconds) = $ENV{BENCH_QUICK} ? (1, 0, 6)
    : (5, $ENV{BEAT_MORE} // 5, 30);
my ($rates, $connections, $module) = ('4000,10000', 8, 1);
GetOptions('runs=i' => \$runs, 'more=i' => \$more, 'seconds=i' => \$seconds, 'rates=s' => \$rates,
    'connections=i' => \$connections, 'module=s' => \$module)
    or die "usage: $0 [--runs N] [--more N] [--seconds S] "
    . "[--rates R,R] [--connections C] [--module FILE]\n";
my ($TURN, $OF_HTTPD, $OF_OTHERS) = (3, 0, 1);
# Seconds of load before a turn, in which nothing is there to be delivered yet;
# and after it: lines wait for an interval and go out within the next one.
my ($LEAD, $REST) = (1, 2);
my @VARIANTS = qw(delivers control);
my %NAME = (delivers => 'as it is by default',
    control => 'control: without delivery');

# Nothing is sent before the stop: no tick, no full body, no full buffer.
my %CONF = (delivers => '', control => <<'CONF');
InfluxMetricsInterval 1h
InfluxMetricsMaxBody 256M 1000000
InfluxMetricsBufferSize 512M
InfluxMetricsTimeout 2s 60s
InfluxMetricsShutdownTimeout 8s
CONF

my @sinks;
END { kill TERM => map { $_->{pid} } @sinks }

my $tool = ImxLoad::tool();
die "bombardier is missing: nothing else keeps to a rate\n"
    if $tool->{name} ne 'bombardier';
# Whatever is started from here on, but for httpd.
system("taskset -a -p -c $OF_OTHERS $$ >/dev/null") == 0
    or die "taskset: two cores are needed\n";

# Keeps what it is sent in a file.
sub start_sink {
    my $program = build() . '/bench-flusher';
    die "$program is not there: run make bench-flusher\n" if !-x $program;
    my $file = work_dir() . '/points-' . scalar @sinks;
    my $pid = open my $out, '-|', $program, '--sink-only', '--record', $file
        or die "$program: $!\n";
    my $port = <$out> // die "$program: no port\n";
    chomp $port;
    push @sinks, { pid => $pid, out => $out, file => $file,
        url => "http://127.0.0.1:$port" };
    return $sinks[-1];
}

sub start_server {
    my ($how) = @_;
    my $sink = start_sink();
    my $httpd = ImxBare->new(module => $module, influx => $sink->{url},
        report => 'requests=10s',
        through => ['taskset', '-c', $OF_HTTPD], conf => $CONF{$how});
    return { how => $how, sink => $sink, httpd => $httpd, sent => 0 };
}

sub drive {
    my ($v, $rate, $duration) = @_;
    my $run = ImxLoad::run($tool, $v->{httpd}->url('/index.html'),
        connections => $connections, seconds => $duration, rate => $rate);
    die "$run->{errors} requests failed\n" if $run->{errors};
    $v->{sent} += $run->{requests};
    return $run->{rps};
}

# A server of each kind, fresh; what their points say.
sub run_once {
    my ($rate, $number) = @_;
    my @servers = map { start_server($_) } @VARIANTS;
    my %got;
    drive($_, $rate, 1) for @servers;            # warm
    sleep $REST;
    my (%rps, %begins);
    for my $pair (1 .. max(1, int($seconds / $TURN + 0.5))) {
        for my $v (($number + $pair) % 2 ? reverse @servers : @servers) {
            push @{ $begins{ $v->{how} } }, time + $LEAD;
            push @{ $rps{ $v->{how} } }, drive($v, $rate, $LEAD + $TURN);
            sleep $REST;
        }
    }
    for my $v (@servers) {
        $v->{httpd}->stop or die "httpd did not stop\n";
        my $points = ImxBeat::read_points($v->{sink}{file}, $TURN,
            @{ $begins{ $v->{how} } });
        die "$v->{how}: $v->{sent} requests, $points->{count} points\n"
            if $points->{count} != $v->{sent};
        $got{ $v->{how} } = ImxBeat::judge($points);
        $got{ $v->{how} }{rps} = ImxBeat::median(@{ $rps{ $v->{how} } });
        unlink $v->{sink}{file};
    }
    return \%got;
}

my %all;        # rate => [ run ]: the slots'
my %turns;      # rate => [ run ]: p99.9's
for my $number (1 .. $runs + $more) {
    for my $rate (split /,/, $rates) {
        printf STDERR "# run %d of %d, %d requests a second\n", $number,
            $runs + $more, $rate;
        my $run = run_once($rate, $number);
        push @{ $all{$rate} }, $run if $number <= $runs;
        push @{ $turns{$rate} },
            { map { $_ => { turns => $run->{$_}{turns} } } @VARIANTS };
    }
}

sub range {
    my ($format, @v) = @_;
    return sprintf "$format | $format .. $format", ImxBeat::median(@v),
        min(@v), max(@v);
}

my %p999 = map { $_ => ImxBeat::compare($turns{$_}, @VARIANTS) } keys %turns;

print ImxReport::wrapped("A 12-byte file, event MPM with 2 children on one core; "
    . "bombardier ($connections connections) and a server in the place of "
    . "InfluxDB on another one. $runs run(s) of $seconds s for each line, in "
    . "turns of $TURN s with the other one of its rate; medians and ranges of "
    . "the runs. p99 in us, by 20 ms of the second. A beat comes each second of "
    . "each run; what the machine does beside may come once and make a slot the "
    . "worst one of its run. So the ratio is there a second time, of all runs "
    . 'taken together.') . "\n"
    . ImxReport::wrapped('p99.9 is compared turn by turn, each with the turn of '
    . 'the other server beside it, which is the earlier one as often as the later '
    . "one. Before each turn there are $LEAD s of load that do not count, so that "
    . "something is delivered in all of it, and after it a rest of $REST s for its "
    . "last points. "
    . ($more ? "$more more run(s) are for p99.9 only. " : '')
    . 'The second line\'s are its own turns, each against the next one and the '
    . 'next against it, in turn: a median that is not 1 there would be an error '
    . 'of measuring. Of each the median is told, in percent more or less, if it '
    . 'is more than the second line\'s may be (else: not distinguishable), with '
    . 'the range in which the true median is with 95 % certainty, whatever the '
    . 'distribution (order statistics, the sign test turned round: W. R. '
    . 'Thompson, Annals of Mathematical Statistics 7, 1936), if turns do not '
    . 'depend on each other.') . "\n"
    . "| requests a second | module | kept to | p99, median slot | worst slot "
    . "| worst of median | range | of all runs together | p99.9 us "
    . "| against without delivery | turns compared |\n" . '|---' x 11 . "|\n";
for my $rate (split /,/, $rates) {
    my $p999 = $p999{$rate};
    for my $how (@VARIANTS) {
        my @of = map { $_->{$how} } @{ $all{$rate} };
        printf "| %d | %s | %.0f | %.0f | %.0f | %s | %.2f | %.0f | %s | %d |\n",
            $rate, $NAME{$how}, ImxBeat::median(map { $_->{rps} } @of),
            ImxBeat::median(map { $_->{middle} } @of),
            ImxBeat::median(map { $_->{worst} } @of),
            range('%.2f', map { $_->{ratio} } @of),
            ImxBeat::together($all{$rate}, $how),
            ImxBeat::median(map { $_->{p999} } @of),
            $how eq 'control'
                ? (ImxRounds::confident($p999->{control}), $p999->{control}{n})
                : (ImxBeat::told($p999), $p999->{n});
    }
}

# The goals: worst slot 1.5 of the median one, p99.9 1.05 of without delivery.
sub goal {
    my ($rate) = @_;
    my ($ours, $control) = map {
        my $how = $_;
        [map { $_->{$how}{ratio} } @{ $all{$rate} }]
    } @VARIANTS;
    my $p999 = $p999{$rate};
    return sprintf 'At %d a second the worst slot has %.2f of the median one '
        . '(goal 1.5, median of the runs: %s; %.2f without delivery, up to %.2f), '
        . 'of all runs together %.2f (%.2f without delivery). p99.9 against that '
        . 'without delivery is %s in %d turns (goal: at most +5 %%, with all of '
        . 'the range: %s); a server against itself %s%s.', $rate,
        ImxBeat::median(@$ours), ImxBeat::is_below(1.5, $ours, $control),
        ImxBeat::median(@$control), max(@$control),
        (map { ImxBeat::together($all{$rate}, $_) } @VARIANTS),
        ImxBeat::told($p999), $p999->{n},
        ImxBeat::is_no_more(1.05, $p999), ImxRounds::confident($p999->{control}),
        ImxBeat::is_even($p999) // 1 ? '' : ', which is an error of measuring';
}
print "\n", ImxReport::wrapped(join ' ', map { goal($_) } split /,/, $rates);
my ($load) = slurp('/proc/loadavg') =~ /^(\S+)/;
print "\nThe load of the machine was $load in the end.\n";
print "\n![p99 by 20 ms of the second](pictures/beat.svg)\n";
# A trial leaves the picture as it is.
ImxBeat::plot(($runs < 5 ? build() : "$FindBin::Bin/../docs/pictures")
    . '/beat.svg', [
    map {
        my $rate = $_;
        { title => "$rate requests a second", lines => [map {
            { name => $NAME{$_}, slots => ImxBeat::middle_run($all{$rate}, $_) }
        } @VARIANTS] }
    } split /,/, $rates ]);

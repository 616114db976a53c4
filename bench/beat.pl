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
# something to deliver in all of it.  --more: so many runs beside, of which only
# p99.9 is taken, which needs many turns to be known well; the slots are those
# of the others.
# The kernel's tracer tells when the module's threads had the core (root only).
# The server in the place of InfluxDB gives way to the load tool, and keeps what
# it gets in memory: a disk is written to each five seconds, by any core.
# Prints Markdown, writes docs/pictures/beat.svg; fails when a point is lost.
# BENCH_QUICK=1: half a minute; with less than five runs the picture goes into
# the build's directory.
use strict;
use warnings;
use File::Temp qw(tempdir);
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
use ImxSwitch;

my ($runs, $more, $seconds) = $ENV{BENCH_QUICK} ? (1, 0, 6)
    : (5, $ENV{BEAT_MORE} // 5, 30);
my ($rates, $connections, $module) = ('4000,10000', 8, 1);
GetOptions('runs=i' => \$runs, 'more=i' => \$more, 'seconds=i' => \$seconds,
    'rates=s' => \$rates, 'connections=i' => \$connections, 'module=s' => \$module)
    or die "usage: $0 [--runs N] [--more N] [--seconds S] "
    . "[--rates R,R] [--connections C] [--module FILE]\n";
my ($TURN, $OF_HTTPD, $OF_OTHERS) = (3, 0, 1);
# Seconds of load before a turn, in which nothing is there to be delivered yet;
# and after it: lines wait for an interval and go out within the next one.
my ($LEAD, $REST) = (1, 2);
my $TURNED = 500;
# What the buffer of the control can hold.
my $RUNS_OF_SERVER = 5;
my $PAIRS = max(1, int($seconds / $TURN + 0.5));
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

my $memory = tempdir('imx-XXXXXX', CLEANUP => 1,
    -d '/dev/shm' ? (DIR => '/dev/shm') : (TMPDIR => 1));
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
    my $file = $memory . '/points-' . scalar @sinks;
    my $pid = open my $out, '-|', 'chrt', '-i', '0', $program, '--sink-only',
        '--record', $file
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

# Of these turns: how often the module's threads had the core, and for how long.
sub ran {
    my ($runs, $begins) = @_;
    my @of_turns = grep { ImxBeat::turn_of($_->[0], $TURN, $begins) >= 0 } @$runs;
    return { rate => @of_turns / ($TURN * @$begins), us => 1e6
        * sum0(map { $_->[1] - $_->[0] } @of_turns) / max(1, scalar @of_turns) };
}

# Turns of one run, of one and the other; number: which of them is first.
sub drive_in_turn {
    my ($rate, $number, @servers) = @_;
    for my $pair (1 .. $PAIRS) {
        for my $v (($number + $pair) % 2 ? reverse @servers : @servers) {
            push @{ $v->{begins} }, time + $LEAD;
            push @{ $v->{rps} }, drive($v, $rate, $LEAD + $TURN);
            sleep $REST;
        }
    }
}

# What the points of these runs say: [{ judged, rps, ran }].
sub runs_of {
    my ($v, $number, $ran) = @_;
    $v->{httpd}->stop or die "httpd did not stop\n";
    my $points = ImxBeat::read_points($v->{sink}{file}, $TURN, $v->{begins}, $ran);
    die "$v->{how}: $v->{sent} requests, $points->{count} points\n"
        if $points->{count} != $v->{sent};
    unlink $v->{sink}{file};
    return map {
        my @of = ($PAIRS * $_ .. $PAIRS * ($_ + 1) - 1);
        my ($turns, $less) = map { $_ && [@$_[@of]] } @$points{qw(turns less)};
        +{ %{ ImxBeat::judge($turns, $less) },
            rps => ImxBeat::median(@{ $v->{rps} }[@of]),
            ran => $ran && ran($ran, [@{ $v->{begins} }[@of]]) };
    } 0 .. $number - 1;
}

# So many runs of a server of each kind, fresh: [{ how => judged }].
sub run_servers {
    my ($rate, $number) = @_;
    my @servers = map { start_server($_) } @VARIANTS;
    drive($_, $rate, 1) for @servers;            # warm
    sleep $REST;
    my @children = $servers[0]{httpd}->children;
    my $trace = ImxSwitch->start(ImxSwitch::monitors(@children));
    for my $run (1 .. $number) {
        printf STDERR "# run %d of %d, %d requests a second\n", $run, $number, $rate;
        drive_in_turn($rate, $run, @servers);
    }
    my %ran = $trace ? (delivers => [$trace->stop]) : ();
    die "a child has been replaced\n"
        if "@children" ne join ' ', $servers[0]{httpd}->children;
    my %of = map { $_->{how} => [runs_of($_, $number, $ran{ $_->{how} })] } @servers;
    return map {
        my $run = $_;
        +{ map { $_ => $of{$_}[$run] } @VARIANTS };
    } 0 .. $number - 1;
}

# The slots' runs are of one server of each kind, so that a beat is in the same
# slot of all of them; the others are of fresh ones.
my %all;        # rate => [ run ]: the slots'
my %turns;      # rate => [ run ]: p99.9's
for my $rate (split /,/, $rates) {
    $all{$rate} = [run_servers($rate, $runs)];
    $turns{$rate} = [@{ $all{$rate} }];
    for (my $left = $more; $left > 0; $left -= $RUNS_OF_SERVER) {
        for my $run (run_servers($rate, min($left, $RUNS_OF_SERVER))) {
            delete $_->{seconds}, delete $_->{less}{seconds} for values %$run;
            push @{ $turns{$rate} }, $run;
        }
    }
}

sub of { my ($runs, $how, $what) = @_; return map { $_->{$how}{$what} } @$runs }

# rate => { how => ... }
my (%together, %chance, %p999);
for my $rate (keys %all) {
    $p999{$rate} = ImxBeat::compare($turns{$rate}, @VARIANTS);
    for my $how (@VARIANTS) {
        @{ $together{$rate}{$how} }{qw(all less)} =
            ImxBeat::together($all{$rate}, $how);
        $chance{$rate}{$how} = ImxBeat::chance($all{$rate}, $how, $TURNED);
    }
}

print ImxReport::wrapped("A 12-byte file, event MPM with 2 children on one core; "
    . "bombardier ($connections connections) and a server in the place of "
    . "InfluxDB on another one. $runs run(s) of $seconds s for each line, in "
    . "turns of $TURN s with the other one of its rate, by one server of each "
    . 'kind, which delivers at the same moments of each second. Before each turn '
    . "there are $LEAD s of load that do not count, so that something is delivered in "
    . "all of it, and after it a rest of $REST s for its last points.") . "\n"
    . ImxReport::wrapped('**The slots.** p99 in us, by 20 ms of the second; '
    . 'medians and range of the runs, and of all of them taken together: a beat '
    . 'comes each second of each run, and what the machine does beside may come '
    . 'once and make a slot the worst one of its run. By chance: what the ratio '
    . 'is where the same seconds are turned round, each by an amount of its own, '
    . "so that no slot means anything ($TURNED times; the median, what 95 in 100 "
    . 'are not above, and the part that is no less than what was measured). Without '
    . 'the threads: without the time in which the '
    . 'module\'s threads had the core (see below).') . "\n"
    . "| requests a second | module | kept to | p99, median slot | worst slot "
    . "| worst of median | range | by chance | all runs together | by chance "
    . "| without the threads |\n" . '|---' x 11 . "|\n";
for my $rate (split /,/, $rates) {
    for my $how (@VARIANTS) {
        my @ratios = of($all{$rate}, $how, 'ratio');
        my $together = $together{$rate}{$how};
        printf "| %d | %s | %.0f | %.0f | %.0f | %.2f | %.2f .. %.2f | %s | %.2f "
            . "| %s | %s |\n", $rate, $NAME{$how},
            (map { ImxBeat::median(of($all{$rate}, $how, $_)) }
                qw(rps middle worst ratio)), min(@ratios), max(@ratios),
            by_chance(ImxBeat::median(@ratios), $chance{$rate}{$how}{runs}),
            $together->{all},
            by_chance($together->{all}, $chance{$rate}{$how}{together}),
            defined $together->{less} ? sprintf('%.2f', $together->{less}) : '-';
    }
}
print "\n", ImxReport::wrapped(join ' ', map { slots_goal($_) } split /,/, $rates);

sub by_chance {
    my ($ratio, $chance) = @_;
    return sprintf '%.2f, up to %.2f (%.3f)', @$chance{qw(median most)},
        ImxBeat::how_often($ratio, $chance);
}

# The goal: the worst slot has 1.5 of the median one.
sub slots_goal {
    my ($rate) = @_;
    my @of_runs = map { ImxBeat::median(of($all{$rate}, $_, 'ratio')) } @VARIANTS;
    my @all = map { $together{$rate}{$_}{all} } @VARIANTS;
    my $chance = $chance{$rate}{delivers};
    return sprintf 'At %d a second the worst slot has %.2f of the median one where '
        . 'all runs are taken together (goal 1.5: %s; %.2f without delivery), and '
        . '%.2f in the median of the runs (%s; %.2f without delivery). That is %s.',
        $rate, $all[0], ImxBeat::is_below(1.5, $all[0], $chance->{together}),
        $all[1], $of_runs[0],
        ImxBeat::is_below(1.5, $of_runs[0], $chance->{runs}), $of_runs[1],
        $all[0] <= $chance->{together}{most} && $of_runs[0] <= $chance->{runs}{most}
            ? 'no more than chance makes in 95 of 100 cases'
            : 'more than chance makes in 95 of 100 cases';
}

print "\n", ImxReport::wrapped('**p99.9**, in two ways. Turn by turn: each with '
    . 'the turn of the other server beside it, which is the earlier one as often '
    . 'as the later one'
    . ($more ? ", and $more more run(s) are for that only" : '') . '. '
    . 'The second line\'s are its own turns, each against the next one and the '
    . 'next against it, in turn: a median that is not 1 there would be an error '
    . 'of measuring. Of each the median is told, in percent more or less, if it '
    . 'is more than the second line\'s may be (else: not distinguishable), with '
    . 'the range in which the true median is with 95 % certainty, whatever the '
    . 'distribution (order statistics, the sign test turned round: W. R. '
    . 'Thompson, Annals of Mathematical Statistics 7, 1936), if turns do not '
    . 'depend on each other.') . "\n"
    . ImxReport::wrapped('And by the kernel\'s tracer, which tells when the '
    . 'module\'s threads had the core: each request is freed of all their time '
    . 'since the core last rested (neither a request nor they for '
    . sprintf('%.1f', $ImxBeat::REST * 1e3) . ' ms). They cannot have kept it '
    . 'back longer on one core where requests are served in the order in which '
    . 'they came, so p99.9 without them is no less than that. What they leave '
    . 'behind in the caches is in the first way only; and what a request waits '
    . 'for before httpd has read its first line is in no point.') . "\n"
    . "| requests a second | module | p99.9 us | against without delivery "
    . "| turns compared | the module's threads ran | p99.9 without them "
    . "| they add at most |\n" . '|---' x 8 . "|\n";
for my $rate (split /,/, $rates) {
    my $p999 = $p999{$rate};
    for my $how (@VARIANTS) {
        my $own = $how eq 'control';
        printf "| %d | %s | %.0f | %s | %d | %s |\n", $rate, $NAME{$how},
            ImxBeat::median(of($turns{$rate}, $how, 'p999')),
            $own ? ImxRounds::confident($p999->{control}) : ImxBeat::told($p999),
            $own ? $p999->{control}{n} : $p999->{n}, traced($turns{$rate}, $how);
    }
}
print "\n", ImxReport::wrapped(join ' ', map { p999_goal($_) } split /,/, $rates);

# Three columns.
sub traced {
    my ($runs, $how) = @_;
    return '- | - | -' if !$runs->[0]{$how}{less};
    my @more = added($runs, $how);
    return sprintf '%.0f times a second, %.0f us each | %.0f | %.1f .. %.1f %%',
        ImxBeat::median(map { $_->{rate} } of($runs, $how, 'ran')),
        ImxBeat::median(map { $_->{us} } of($runs, $how, 'ran')),
        ImxBeat::median(map { $_->{p999} } of($runs, $how, 'less')), min(@more),
        max(@more);
}

# Percent of p99.9, of each run; points have whole us.
sub added {
    my ($runs, $how) = @_;
    return map { 100 * (sprintf('%.0f', $_->{$how}{p999})
        / sprintf('%.0f', $_->{$how}{less}{p999}) - 1) } @$runs;
}

# The goal: p99.9 has 1.05 of that without delivery.
sub p999_goal {
    my ($rate) = @_;
    my $p999 = $p999{$rate};
    my $by_turns = ImxBeat::is_no_more(1.05, $p999);
    return sprintf 'At %d a second p99.9 against that without delivery is %s in %d '
        . 'turns (goal: at most +5 %%, with all of the range: %s); a server '
        . 'against itself %s%s. %s', $rate, ImxBeat::told($p999), $p999->{n},
        $by_turns, ImxRounds::confident($p999->{control}),
        ImxBeat::is_even($p999) // 1 ? '' : ', which is an error of measuring',
        added_goal($turns{$rate}, $by_turns);
}

# What turns say is against it only where they say so for certain.
sub added_goal {
    my ($runs, $by_turns) = @_;
    return 'The tracer is not to be had here.'
        if !$runs->[0]{delivers}{less};
    my ($most) = max(added($runs, 'delivers'));
    return sprintf 'The module\'s threads add at most %.1f %% in the worst of %d '
        . 'runs (goal: %s).', $most, scalar @$runs,
        $most <= 5 && $by_turns ne $ImxBeat::MISSED
            ? $ImxBeat::REACHED : $by_turns;
}

my ($load) = slurp('/proc/loadavg') =~ /^(\S+)/;
print "\nThe load of the machine was $load in the end.\n";
print "\nThe picture has, of each line and rate, the run whose ratio is the median:\n"
    . "\n![p99 by 20 ms of the second](pictures/beat.svg)\n";
# A trial leaves the picture as it is.
ImxBeat::plot(($runs < 5 ? build() : "$FindBin::Bin/../docs/pictures")
    . '/beat.svg', [
    map {
        my $rate = $_;
        { title => "$rate requests a second", lines => [map {
            { name => $NAME{$_}, slots => ImxBeat::middle_run($all{$rate}, $_) }
        } @VARIANTS] }
    } split /,/, $rates ]);

#!/usr/bin/perl
# growth.pl [--requests N] [--rounds N] [--only WORD]: what the module costs by
# what a server has much of: tags, threads, virtual hosts, buffer, children,
# requests.  Instructions are callgrind's (ImxCount.pm), of one run each;
# processor time is compared as ImxRounds.pm says.  Prints Markdown with a
# paragraph for each, and makes docs/growth.svg.  GROWTH_REQUESTS=N: of the long
# run.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use Time::HiRes qw(time);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxBare;
use ImxCount;
use ImxPlot;
use ImxReport;
use ImxRounds;
use ImxSink;
use ImxVisit;

my ($rounds, $requests, $only) = ($ENV{BENCH_ROUNDS} // 20,
    $ENV{GROWTH_REQUESTS} // 10_000_000, '');
GetOptions('rounds=i' => \$rounds, 'requests=i' => \$requests,
    'only=s' => \$only)
    or die "usage: $0 [--rounds N] [--requests N] [--only WORD]\n";
which_one('valgrind') or die "valgrind is not installed\n";
my $all_points = ImxSink->new;
my $OWN = 'instructions a request';
my @panels;
my @parts = ([tags => \&tags], [threads => \&threads], [vhosts => \&vhosts],
    [buffer => \&buffer], [children => \&children], [start => \&start_up],
    [long => \&long_run]);
for my $part (@parts) {
    my ($name, $measure) = @$part;
    next if index($name, $only) < 0;
    print STDERR "# $name\n";
    print $measure->(), "\n";
}
print "![Costs by tags, threads, virtual hosts, buffer, children, requests]"
    . "(growth.svg)\n";
ImxPlot::write(($rounds < 20 || $only ? build() : "$FindBin::Bin/../docs")
    . '/growth.svg', @panels);

sub prose { return "\n" . ImxReport::wrapped("@_") }

# ---- in instructions ----

# Of the threads that serve: own, the module's with what libc copies for it;
# whole, with all that it calls in httpd.
# children: of prefork; without them it is the one child of event.  The same is
# counted once; `again`: once more, as a control.
my %counted;

sub count {
    my ($conf, $children, $again) = @_;
    return $counted{ join '|', $conf, $children // '', $again // '' } //= do {
        my $cost = ImxCount::request(db => $all_points, module => 1,
            conf => "InfluxMetrics On\n$conf$ImxCount::ON",
            $children ? (mpm => 'prefork', children => $children) : ());
        # Without an account of the calls: what libc copies for httpd is the
        # same in each.
        my $own = 0;
        $own += $cost->{$_} for grep { /^mod_influx_metrics|^libc.*:\w*memcpy/
            || /^libc.*:\w*memmove/ } keys %$cost;
        { own => $cost->{own} // $own, whole => $cost->{whole} };
    };
}

sub own { return sprintf '%.0f', count(@_)->{own} }

# The first, the control, and others: [what, directives, children].
sub own_table {
    my ($what, $first, @others) = @_;
    my ($name, @counted) = @$first[0 .. 2];
    return "| $what | $OWN |\n|---|---|\n" . join '', map {
        sprintf "| %s | %s |\n", $_->[0], own(@$_[1 .. $#$_])
    } $first, ["$name, once more: the control", @counted, 'again'], @others;
}

sub tags {
    my @numbers = (5, 10, 20);
    my %conf = (
        constant => sub { qq{InfluxMetricsTag t$_[0] value$_[0]\n} },
        expression =>
            sub { qq{InfluxMetricsTag t$_[0] "%{REQUEST_METHOD}"\n} },
    );
    my $none = count('');
    my %with = map { my $how = $_; $how => { map { my $n = $_; $n => count(
        join '', map { $conf{$how}->($_) } 1 .. $n) } @numbers } } keys %conf;
    my $again = count('', undef, 'again');
    my $more = sub {
        my ($cost, $what) = @_;
        my ($differs, $added) = map { $_->{$what} - $none->{$what} } $again,
            $cost;
        return $cost == $none ? '' : $cost == $again ? sprintf('%+.0f', $added)
            : ImxRounds::difference([$differs], $added);
    };
    my $row = sub {
        my ($n, $constant, $expression) = @_;
        return sprintf "| %s | %.0f | %s | %s |\n", $n, $constant->{own},
            $more->($constant, 'own'), $more->($expression, 'whole');
    };
    my $constant = ($with{constant}{20}{own} - $none->{own}) / 20;
    my $each = ($with{expression}{20}{whole} - $none->{whole}) / 20;
    push @panels, { title => 'Own tags: instructions more than without',
        x => 'tags', y => 'instructions', lines => {
            constant => [[0, 0], map { [$_, $with{constant}{$_}{own}
                - $none->{own}] } @numbers],
            'by expression' => [[0, 0], map { [$_, $with{expression}{$_}{whole}
                - $none->{whole}] } @numbers] } };
    return ImxReport::wrapped('Instructions are those of the module, by '
        . 'callgrind, with what libc copies; of tags by expression with all '
        . 'that httpd does for them, too. Each figure is of one run. '
        . ImxReport::COUNTS())
        . "\n| own tags | $OWN, constant tags | more | by expression, more, with "
        . "httpd's |\n|---|---|---|---|\n"
        . $row->('0', $none, $none)
        . $row->('0, once more: the control', $again, $again)
        . join('', map { $row->($_, $with{constant}{$_}, $with{expression}{$_}) }
            @numbers)
        . prose(sprintf 'A constant tag is encoded once in each child, with the '
            . 'first request that needs it; a request copies its bytes with the '
            . 'others: %.1f '
            . 'instructions a tag. One by '
            . 'expression is evaluated by httpd, looked up in the values that it '
            . 'may have (InfluxMetricsTagLimit), and written: %.0f instructions '
            . 'each. What limits their number is the length of a line, and the '
            . 'series in the database.', $constant, $each)
        . sprintf "README: One more constant tag costs %.1f instructions, one by "
            . "expression %.0f. What each field costs, and how cost grows with "
            . "children, threads, virtual hosts and buffers, is there, too.\n",
            $constant, $each;
}

sub own_panel {
    my ($x, @at) = @_;
    push @panels, { title => "Instructions of the module, by $x", log => 1,
        x => $x, y => 'instructions', lines => { 'with the module' =>
            [map { [$_->[0], count(@$_[1 .. $#$_])->{own}] } @at] } };
}

sub threads {
    my @numbers = map {
        [$_, "ThreadLimit $_\nThreadsPerChild $_\nMaxRequestWorkers $_\n"
            . "MinSpareThreads $_\nMaxSpareThreads $_\n"] } 64, 256;
    own_panel('threads a child', [4, ''], @numbers);
    return own_table('threads a child (event)', [4, ''], @numbers)
        . prose('A thread writes into a segment and into counters that it finds '
            . 'by itself, whatever the number of the others. What limits their '
            . 'number is httpd: threads that are at work at the same time share '
            . 'a segment, and what that costs is in the section "Appending to '
            . 'the batch".');
}

sub hosts {
    my ($n) = @_;
    # The one that is asked for stands in the middle.
    return "<VirtualHost *>\nServerName v0.example\n</VirtualHost>\n" . join '',
        map { "<VirtualHost *>\nServerName "
            . ($_ == int($n / 2) + 1 ? 'imx.test' : "v$_.example")
            . "\n</VirtualHost>\n" } 1 .. $n;
}

sub vhosts {
    own_panel('virtual hosts', [1, ''], [1000, hosts(1000)]);
    return own_table('virtual hosts', [1, ''], [1000, hosts(1000)])
        . prose('A virtual host has its own plan of a line and its own place '
            . 'among the series, both found through a pointer. '
            . 'What limits their number '
            . 'is memory (see the section on virtual hosts), and how many series '
            . 'are counted.');
}

# ---- in processor time of servers that do nothing ----

# Percent of a core, and its quartiles, of servers that are there at once.
sub idle {
    my (@servers) = @_;
    ImxVisit::pin_as_usual([$$], [map { {
        pids => ImxVisit::httpd_pids($_) } } @servers]);
    nap(5);                     # what a child does at its start is over
    my (@last, @percent);
    for my $window (0 .. $rounds) {
        for my $i (0 .. $#servers) {
            my ($cpu, $now) = (ImxVisit::cpu_ns(
                ImxVisit::httpd_pids($servers[$i])->()), time);
            push @{ $percent[$i] }, ($cpu - $last[$i][0]) / 1e7
                / ($now - $last[$i][1]) if $window;
            $last[$i] = [$cpu, $now];
        }
        nap(1) if $window < $rounds;
    }
    return map { [ImxRounds::quartiles(@$_)] } @percent;
}

sub range { return sprintf '%.2f (%.2f .. %.2f)', @{ $_[0] }[1, 0, 2] }

sub server {
    my ($on, %o) = @_;
    my $conf = $o{conf} // '';
    $o{conf} = sub {
        return "InfluxMetrics $on\n" . (ref $conf ? $conf->(@_) : $conf) };
    return ImxBare->new(module => 1, $on eq 'On'
        ? (influx => $o{sink}->url, report => 'requests=10s') : (), %o);
}

sub buffer {
    my @sizes = (32, 1024, 16384);
    my $sink = ImxSink->new;
    my %own = map { $_ => own($_ == 32 ? ''
        : "InfluxMetricsBufferSize ${_}M\n") } @sizes;
    my @servers = (server('Off'), map { server('On', sink => $sink,
        conf => "InfluxMetricsBufferSize ${_}M\n") } @sizes);
    push @servers, server('On', sink => $sink,
        conf => "InfluxMetricsBufferSize 32M\n");
    my ($off, @idle) = idle(@servers);
    $_->stop for @servers;
    push @panels, { title => 'Idle, by size of the buffer', log => 1,
        x => 'MB', y => '% of a core', lines => { 'with the module' =>
            [map { [$sizes[$_], $idle[$_][1]] } 0 .. $#sizes] } };
    return "| buffer, MB | $OWN | idle, % of a core |\n|---|---|---|\n"
        . "| Off | - | " . range($off) . " |\n| 32, once more: the control | "
        . own('', undef, 'again') . ' | ' . range($idle[-1]) . " |\n"
        . join('', map { "| $sizes[$_] | $own{ $sizes[$_] } | "
            . range($idle[$_]) . " |\n" } 0 .. $#sizes)
        . prose('A request appends to a segment that it knows, whatever their '
            . 'number. The child that delivers looks only at groups of segments of '
            . 'which one is not free: what limits the size is memory. Median '
            . "(quartiles) of $rounds windows of a second, all at the same "
            . 'time; ' . ImxVisit::cores_in_words() . '.');
}

# Lines of a panel by number, of groups of Off, its control and On.
sub with_and_without {
    my ($what, $numbers, $groups, $subjects) = @_;
    my $line = sub {
        my ($which) = @_;
        return [map { [$numbers->[$_], $groups->[$_]->value(
            $subjects->[$_][$which], $what)] } 0 .. $#$numbers];
    };
    return { without => $line->(0), 'with the module' => $line->(2) };
}

# ---- by children ----

# Under valgrind 256 children want 5 GB.
sub children {
    my @numbers = (2, 16, 256);
    my @counts = map { [$_, '', $_] } @numbers;
    own_panel('prefork children', @counts);
    local $ImxVisit::MS = 300;
    my @sinks = map { ImxSink->new } @numbers;
    my @servers = map { my $i = $_; [map { server($_, sink => $sinks[$i],
        mpm => 'prefork', children => $numbers[$i]) } qw(Off Off On)] }
        0 .. $#numbers;
    $_->wait_children(120) for map { @$_ } @servers;
    my @idle = idle(map { @$_ } @servers);
    my @subjects = map { group_of($sinks[$_], @{ $servers[$_] }) }
        0 .. $#numbers;
    ImxVisit::pin_as_usual([$$, map { $_->pid } @sinks],
        [map { @$_ } @subjects]);
    my $run = ImxRounds->new(rounds => $rounds, measure => \&ImxVisit::visit);
    my @groups = map { $run->group(@$_) } @subjects;
    $run->run;
    my $again = 'Off once more: the control';
    my $text = "| prefork children | us of processor time a request, Off | "
        . "$again | On | idle, % of a core, Off | $again | On | MiB in all, Off "
        . "| $again | On |\n" . '|---' x 10 . "|\n";
    for my $i (0 .. $#numbers) {
        my ($off, $control, $on) = @{ $subjects[$i] };
        my $ratio = $groups[$i]->compare($on, 'cpu');
        $text .= '| ' . join(' | ', $numbers[$i],
            sprintf('%.1f', $groups[$i]->value($off, 'cpu')),
            ImxRounds::words($ratio->{control}),
            ImxRounds::cell($ratio, $ratio->{control}), map({ range($_) }
                @idle[3 * $i .. 3 * $i + 2]),
            map { sprintf '%.1f', ImxVisit::memory($_->{pids}->()) }
                $off, $control, $on) . " |\n";
    }
    $_->stop for map { @$_ } @servers;
    push @panels, { title => 'Processor time a request, by children', log => 1,
        x => 'children', y => 'us',
        lines => with_and_without('cpu', \@numbers, \@groups, \@subjects) };
    push @panels, { title => 'Idle, by children', log => 1, x => 'children',
        y => '% of a core', lines => { 'with the module' =>
            [map { [$numbers[$_], $idle[3 * $_ + 2][1]] } 0 .. $#numbers] } };
    return own_table('prefork children', @counts) . "\n$text"
        . prose('A request does not know of other children. Each child '
        . 'has a thread that wakes up for its own figures, and the one that '
        . 'delivers looks at all of httpd\'s workers and at all children: that '
        . 'is what grows, with requests or without. Memory is what is the '
        . "child's own, and its part of what is shared: that is what limits their "
        . 'number. Idle are the servers of this table at once; 256 children alone '
        . "are in the section on children that do nothing. Pairs of $rounds rounds "
        . 'of 0.3 s; ' . ImxVisit::cores_in_words() . '; the second in which '
        . 'most of the points are delivered is in the processor time.');
}

sub group_of {
    my ($sink, $off, $control, $on) = @_;
    return [map {
        my ($name, $server) = @$_;
        { name => $name, port => $server->port, path => '/index.html',
            pids => ImxVisit::httpd_pids($server), sent => 0,
            # Lines of intervals come beside those of requests.
            $name eq 'on' ? (per => 1,
                points => sub { $sink->lines }) : () };
    } [off => $off], [control => $control], [on => $on]];
}

# ---- the start ----

# Seconds from fork to the line in the log that says that httpd works.
sub start_seconds {
    my ($h) = @_;
    my $begin = time;
    $h->start;
    my ($line) = grep { /resuming normal operations/ } reverse $h->error_log;
    my ($h1, $m, $s) = $line =~ /(\d+):(\d+):(\d+\.\d+)/
        or die "no time in $line\n";
    $h->stop;
    my @then = localtime $begin;
    my $day = $begin - int($begin) + $then[2] * 3600 + $then[1] * 60 + $then[0];
    my $took = $h1 * 3600 + $m * 60 + $s - $day;
    return { seconds => $took < 0 ? $took + 86400 : $took };
}

sub start_subjects {
    my ($sink, $n) = @_;
    return map { my ($name, $state) = @$_;
        { name => $name, server => server($state, sink => $sink, start => 0,
            through => ImxVisit::through(), conf => hosts($n)) } } ['Off', 'Off'],
        ['Off, once more: the control', 'Off'], ['On', 'On'];
}

sub start_up {
    my @numbers = (1, 100, 1000);
    my $sink = ImxSink->new;
    ImxVisit::pin_as_usual([$$, $sink->pid], []);
    my @subjects = map { [start_subjects($sink, $_)] } @numbers;
    my $run = ImxRounds->new(rounds => $rounds,
        measure => sub { start_seconds($_[0]{server}) });
    my @groups = map { $run->group(@$_) } @subjects;
    $run->run;
    push @panels, { title => 'Start, by virtual hosts', log => 1,
        x => 'virtual hosts', y => 'seconds',
        lines => with_and_without('seconds', \@numbers, \@groups, \@subjects) };
    return join("\n", map { $groups[$_]->table("start, virtual hosts: "
            . "$numbers[$_]", [seconds => 'seconds', '%.3f']) } 0 .. $#numbers)
        . prose('A start gives each virtual host settings of its own, looks '
            . 'whether its name makes a line, and makes the shared memory. Of that '
            . 'it writes what belongs to each segment (49 MB for a buffer of '
            . '16 GB) and to each virtual host. The plan of a line is made by each '
            . 'child, with the first request that needs it. What limits the start '
            . 'is httpd, which reads the same hosts. Pairs '
            . "of $rounds rounds; " . ImxVisit::cores_in_words()
            . '.');
}

# ---- the long run ----

# Both get the same requests, tenth by tenth in turns: what grows in both is
# httpd's own.
sub long_run {
    my $sink = ImxSink->new;
    my ($off, $on) = my @subjects = map { long_subject($_, $sink) } qw(Off On);
    ImxVisit::pin_as_usual([$$, $sink->pid], \@subjects);
    my $step = int $requests / 10;
    for my $tenth (1 .. 10) {
        my @cpu = map { ImxVisit::cpu_ns($_->{pids}->()) } @subjects;
        ImxVisit::ask($_, '-n', $step)
            for $tenth % 2 ? @subjects : reverse @subjects;
        note_tenth($_, shift @cpu, $step) for @subjects;
    }
    wait_until(30, sub { $sink->lines >= $step * 10 })
        or die "points are missing after the long run\n";
    # Lines of intervals are among them.
    die "points were given up in the long run\n"
        if figures($on->{server})->{points_dropped};
    $_->{server}->stop for @subjects;
    my @at = map { $step * ($_ + 1) / 1000 } 0 .. 9;
    push @panels, { title => 'Memory of all processes, by requests',
        x => 'thousand requests', y => 'MiB', lines => { map {
            my ($name, $s, $what) = @$_;
            ($name => [map { [$at[$_], $s->{$what}[$_]] } 0 .. 9]);
        } ['On, in all', $on, 'all'], ['On, their own', $on, 'own'],
            ['Off, in all', $off, 'all'], ['Off, their own', $off, 'own'] } };
    return long_table($step, $off, $on) . prose(
        'Nothing is kept of a request: its line goes into a buffer of a constant '
        . 'size, its counts into tables of a constant size, which are shared. '
        . 'Their memory is taken when it is used first: of the buffer what waits '
        . 'at one time, which goes back when it was not needed for ten seconds; of '
        . 'the history 872 bytes, and 32 for each virtual host, each second for '
        . 'the first ten minutes and each minute for the first day. Beside it is Off: a server with the '
        . 'module loaded gets the same requests, tenth by tenth in turns; what '
        . 'grows there, too, is httpd\'s own. ' . grown($off, $on)
        . ' Behind each second line the other server had the last turn: what '
        . 'waited has gone back by then.'
        . ' What is neither is pages of files, as libraries are: a process has '
        . 'its part of each, which changes with who else on the machine uses it.'
        . ' So the number of requests is limited by nothing.'
        . ' Each line is the one before once more: what they differ by beside '
        . 'that is the machine; ' . ImxVisit::cores_in_words() . '.');
}

sub long_subject {
    my ($state, $sink) = @_;
    my $h = server($state, sink => $sink, figures => 1);
    return { name => $state, server => $h, port => $h->port,
        path => '/index.html', pids => ImxVisit::httpd_pids($h) };
}

# After the turns of both.
sub note_tenth {
    my ($s, $cpu, $step) = @_;
    my @pids = $s->{pids}->();
    push @{ $s->{us} }, (ImxVisit::cpu_ns(@pids) - $cpu) / 1000 / $step;
    push @{ $s->{all} }, ImxVisit::memory(@pids);
    push @{ $s->{own} }, ImxVisit::own_memory(@pids);
    push @{ $s->{shared} }, ImxVisit::shared_memory(@pids);
}

sub long_table {
    my ($step, $off, $on) = @_;
    my @columns = ([us => 'us of processor time each'],
        [all => 'MiB of all processes'], [own => 'their own'],
        [shared => 'shared']);
    return '| ' . join(' | ', 'requests', map { ("$_->[1], Off", 'On') } @columns)
        . " |\n" . '|---' x (1 + 2 * @columns) . "|\n" . join '', map {
            my $tenth = $_;
            sprintf "| %d%s |\n", $step * ($tenth + 1), join '', map {
                sprintf ' | %.1f | %.1f', map { $_->[$tenth] } $off->{$_},
                    $on->{$_}
            } map { $_->[0] } @columns;
        } 0 .. 9;
}

# From the second line of the table to the last one: behind both of them the same
# server had the last turn.
sub grown {
    my ($off, $on) = @_;
    return sprintf 'From the second line to the last, memory of their own grew by '
        . '%.1f MiB Off and by %.1f MiB On, shared memory by %.1f and by %.1f.',
        map { my $what = $_; map { $_->{$what}[-1] - $_->{$what}[1] } $off, $on }
        qw(own shared);
}

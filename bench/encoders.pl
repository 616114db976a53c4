#!/usr/bin/perl
# encoders.pl: what the line of a request costs with lineproto.c and with other
# encoders of line protocol (tools/build-encoders.sh; QUESTDB_C=DIR: a checkout
# of c-questdb-client), those that can be built here.  Each is a process of its
# own, all on one core, and they run in turn, round by round; all have to write
# the same bytes, or there is no table.  Prints Markdown.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use IPC::Open2 qw(open2);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxReport;
use ImxRounds;
use ImxVisit;

# Ten times as many as others: they take a few milliseconds each.
my $rounds = 10 * ($ENV{BENCH_ROUNDS} // 20);
GetOptions('rounds=i' => \$rounds) or die "usage: $0 [--rounds N]\n";
my $GOAL = 2.5;

my $own = build() . '/bench-encoder';
my $requests = spew(work_dir() . '/requests', scalar `$own --requests`);
my ($copied, @peers) = (
    start('lineproto, constant parts copied (as the module does)', $own,
        '--serve', 2),
    start('the same once more: the control', $own, '--serve', 2),
    start('lineproto, tag by tag and field by field', $own, '--serve', 1),
    start('snprintf', $own, '--serve', 0),
);
my @missing;
add('influxdata/line-protocol 2.2.1 (Go)', 'line-protocol');
add('influxdata/line-protocol 2.2.1, unchecked (lax)', 'line-protocol', 'lax');
add("Telegraf 1.37.2's serializer (Go), of metrics made before", 'telegraf');
add('questdb-rs 7.2.1 (Rust)', 'questdb-rs');
add('c-questdb-client (C, on questdb-rs)', 'questdb-c');
same_bytes();

my $run = ImxRounds->new(rounds => $rounds, say => 0, measure => \&measure);
my $group = $run->group($copied, @peers);
measure($_) for $copied, @peers;
$run->run;
report();

sub start {
    my ($name, @command) = @_;
    @command = ('taskset', '-c', ImxVisit::cores() > 1 ? 1 : 0, @command);
    my $pid = open2(my $out, my $in, @command);
    return { name => $name, in => $in, out => $out, pid => $pid };
}

sub add {
    my ($name, $program, @more) = @_;
    print STDERR "# building $program\n";
    chomp(my $path = `sh $FindBin::Bin/../tools/build-encoders.sh $program`);
    return push @missing, $path if $?;
    push @peers, start($name, $path, $requests, @more);
}

sub ask {
    my ($s, $command) = @_;
    syswrite $s->{in}, "$command\n";
    my $line = readline($s->{out}) // die "$s->{name} ended\n";
    chomp $line;
    return $line;
}

sub bytes {
    my ($s) = @_;
    my $length = ask($s, 'bytes');
    read($s->{out}, my $text, $length) == $length or die "$s->{name} ended\n";
    return $text;
}

sub same_bytes {
    my $expected = bytes($copied);
    for my $s (@peers) {
        my $got = bytes($s);
        next if $got eq $expected;
        my ($a, $b) = map { [split /\n/] } $expected, $got;
        my ($at) = grep { $a->[$_] ne ($b->[$_] // '') } 0 .. $#$a;
        die "$s->{name} differs:\n$a->[$at // 0]\n", $b->[$at // 0] // '', "\n";
    }
}

sub measure { return { ns => ask($_[0], 'run') } }

# How many times as long as ours a peer takes: quartiles of the pairs.
sub times_as_long {
    my ($s) = @_;
    my $r = $group->compare($s, 'ns');
    return $ImxRounds::SAME if $s != $peers[0]
        && !ImxRounds::distinguishable($r, $r->{control});
    return sprintf '%.2f (%.2f .. %.2f)', @$r{qw(median q1 q3)};
}

# The same against the tag by tag encoder: the three quartiles, round by round.
sub by_tag {
    my ($s, $parts) = @_;
    my ($theirs, $ours) = map { [$group->all($_, 'ns')] } $s, $parts;
    return ImxRounds::quartiles(map { $theirs->[$_] / $ours->[$_] } 0 .. $#$ours);
}

sub report {
    print "| encoder | ns a line | times as long |\n|---|---|---|\n";
    printf "| %s | %.0f | %s |\n", $_->{name}, $group->value($_, 'ns'),
        $_ == $copied ? '1' : times_as_long($_) for $copied, @peers;
    my ($control, $parts, @others) = @peers;
    my ($fastest) = sort { $group->value($a, 'ns') <=> $group->value($b, 'ns') }
        @others;
    my $r = $group->compare($fastest, 'ns');
    my @by_tag = by_tag($fastest, $parts);
    print "\n", ImxReport::wrapped(sprintf 'Medians (quartiles) of the pairs of '
        . '%d interleaved rounds, 20 times 1024 lines each, each encoder a '
        . 'process, all on one core. All wrote the same bytes. The fastest of '
        . 'the others, %s, takes %.2f times as long as what the module does '
        . '(the goal is %.1f: %s), and %.2f (%.2f .. %.2f) times as long as tag '
        . 'by tag.',
        $rounds, $fastest->{name}, $r->{median}, $GOAL,
        $r->{median} >= $GOAL ? 'reached' : 'not reached', @by_tag[1, 0, 2]);
    print map { "\nNot compared: " . s/^build-encoders.sh: //r . ".\n" } @missing;
    return if @missing > 1;
    printf "README: The fastest other encoder of line protocol that was tried "
        . "(%s) takes %.1f times as long for a line, and %.1f times as long as "
        . "ours without the parts that are copied.\n", $fastest->{name},
        $r->{median}, $by_tag[1];
}

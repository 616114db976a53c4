#!/usr/bin/perl
# storms.pl: for STORM_SECONDS (1800), shared out to the MPMs (MPMS), all that
# can go wrong at once: clients without manners (t/lib/ImxStorm.pm), graceful and
# hard restarts, children killed, InfluxDB paused and killed, a spool; and a
# process of another user (t/lib/ImxNeighbour.pm) writes random words everywhere
# in the shared memory meanwhile.  No figure can be right then.  But the parent
# lives, no child dies but by our hand, requests are answered, a stop ends in
# time, and a sanitizer finds nothing (make storms SANITIZER=...).
#
# Needs root.  STORM_SEED repeats the order of events.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use ImxNeighbour;
use ImxStorm;
use ImxTest;
use Test::More;
use Time::HiRes qw(time sleep);

die "storms.pl: only root can have processes of another user\n" if $>;

my @mpms = split ' ', $ENV{MPMS} || 'event worker prefork';
my $seconds = ($ENV{STORM_SECONDS} || 1800) / @mpms;
my $seed = $ENV{STORM_SEED} || $$ ^ int time;
srand $seed;
note "STORM_SEED=$seed";

# Two threads write their lines to the same place of the buffer, or to one that
# is just being sent, when the words that say where it is free are random.
$ENV{IMX_TSAN_OPTIONS} = 'suppressions=' . spew(work_dir() . '/tsan',
    "race:imx_batch_append\nrace:imx_line_put_short\n", 0644);

my $so = test_module('neighbour');
my $db = influxd();
my $behind = storm_backend();
storm($_) for @mpms;
finish();

# ---------------------------------------------------------------------------

sub server {
    my ($mpm) = @_;
    $db->query("CREATE DATABASE $mpm");
    my $h = storm_server($mpm, $db, $behind, figures => 1, report => 'events',
        conf => sub { my $dir = $_[0]->dir; <<"CONF" });
LoadModule neighbour_module $so
InfluxMetricsBufferSize 2M
InfluxMetricsInterval 200ms
InfluxMetricsTimeout 2s 4s
InfluxMetricsTags +user
InfluxMetricsRoute shop ^/large
InfluxMetricsSpool $dir/spool
CONF
    ok(wait_until(30, sub { neighbours($h) == 1 }), "$mpm: has a neighbour");
    $h->put('scribble', '', 0644);
    return $h;
}

# How many of the pages of the status page answer.
sub look {
    my ($h) = @_;
    return scalar grep { get($h->url("/$_", 'figures'))->{status} == 200 }
        '', '?json', '?text';
}

sub kill_one {
    my ($h) = @_;
    my %is_neighbour = map { $_ => 1 } neighbours($h);
    my @children = grep { !$is_neighbour{$_} } $h->children;
    return @children && $h->kill_child($children[rand @children]);
}

sub storm {
    my ($mpm) = @_;
    my $h = server($mpm);
    my ($kills, $looks, %done) = (0, 0);
    my %event = (
        'a child is killed' => sub { $kills += kill_one($h) },
        'InfluxDB hangs' => sub { $db->pause; sleep rand 5; $db->resume },
        'InfluxDB is killed' => sub { $db->kill; sleep rand 3; $db->start },
        'graceful restart' => sub { $h->graceful },
        'hard restart' => sub { $h->restart },
        'a look' => sub { $looks += look($h) },
    );
    my $end = time + $seconds;
    storm_begin($h, seconds => $seconds, seed => $seed);
    while (time < $end) {
        my $name = (sort keys %event)[rand keys %event];
        $event{$name}->();
        $done{$name}++;
        sleep rand 2;
    }
    storm_wait();
    ok($h->alive, "$mpm: the parent is alive");
    ok(wait_until(10, sub { neighbours($h) == 1 }),
        "$mpm: and the neighbour");
    is(get($h->url)->{status}, 200, "$mpm: a request is answered");
    cmp_ok($looks, '>', 0, "$mpm: the status page answered $looks times");
    my $requests = $h->access_count;
    cmp_ok($requests, '>', 10 * $seconds, "$mpm: there was load");
    my $begin = time;
    ok($h->stop, "$mpm: stops");
    cmp_ok(time - $begin, '<', 16 * slow(), "$mpm: ... in time");
    # The programs of mod_cgid and what a killed one leaves are not ours.
    is_deeply([grep { !/Killed \(9\)/ } crashes($h)], [],
        "$mpm: no child died but by our hand")
        or diag join "\n", grep { /cgid|AH0005|AH0012/ } $h->error_log;
    diag sprintf '%s: %d requests in %d s, %d killed; %s', $mpm, $requests,
        $seconds, $kills, join ', ', map { "$_: $done{$_}" } sort keys %done;
}

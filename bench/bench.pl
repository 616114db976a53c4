#!/usr/bin/perl
# bench.pl [--rounds N] [--ms N] [--connections C]: the same static file and the
# same WSGI application, with and without the module, servers pinned to a core
# of their own and not.  ImxRounds.pm says what is compared with what,
# ImxVisit.pm what is measured.  BENCH_QUICK=1: about a minute.
#
# All servers run at once.  InfluxDB and the load tool share the machine with
# httpd: throughput pays for them where they are not pinned, CPU a request does
# not.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxBare;
use ImxPython;
use ImxReport;
use ImxRounds;
use ImxSink;
use ImxVisit;

my $rounds = $ENV{BENCH_ROUNDS} // ($ENV{BENCH_QUICK} ? 3 : 20);
GetOptions('rounds=i' => \$rounds, 'ms=i' => \$ImxVisit::MS,
    'connections=i' => \$ImxVisit::CONNECTIONS)
    or die "usage: $0 [--rounds N] [--ms N] [--connections C]\n";
$ENV{BENCH_ROUNDS} = $rounds;    # of a trial nothing is written

my $databases = 0;
my $db = influxd();
my $python = ImxPython::stage();
my @groups = map { group(@$_) } ['12-byte file', '/index.html', static()],
    ['mod_wsgi hello world', '/', ImxPython::site($python, 'v1')];
my @all = map { @{ $_->{subjects} } } @groups;
ImxVisit::visit($_) for @all;   # warm: imports, file caches, connections
my %text = map { $_ => measure($_) } ImxVisit::ways();
check_points();
report();

# ---- servers ----

sub static { return (conf => '') }

sub group {
    my ($title, $path, %site) = @_;
    return { title => $title, subjects => [
        subject('without', $path, %site),
        subject('without, once more: the control', $path, %site),
        subject('with the module', $path, %site, influx => $db),
        subject('with the module, lines to a sink', $path, %site,
            sink => ImxSink->new),
    ] };
}

sub subject {
    my ($name, $path, %o) = @_;
    my $site = $o{conf};
    my $database = $o{influx} ? 'module_' . ++$databases : undef;
    $db->query("CREATE DATABASE $database") if $database;
    my $server = ImxBare->new(module => $o{influx} || $o{sink} ? 1 : 0,
        $database ? (report => 'requests=10s') : (),
        influx => $o{sink} ? $o{sink}->url : $o{influx},
        modules => $o{modules} // [], conf => sub {
            my $text = ref $site ? $site->(@_) : $site;
            return $text . ($database ? "InfluxMetricsDatabase $database\n" : '');
        });
    return { name => $name, port => $server->port, path => $path,
        pids => ImxVisit::httpd_pids($server), sent => 0,
        $database || $o{sink} ? (per => 1, points => sub {
            return $o{sink} ? $o{sink}->lines
                : $db->count('raw-requests', $database, 'application_time');
        }) : () };
}

# ---- measuring ----

sub measure {
    my ($way) = @_;
    ImxVisit::pin($way, [$db->pid, map { $_->pid } ImxSink::all()], \@all);
    my $run = ImxRounds->new(rounds => $rounds, measure => \&ImxVisit::visit);
    print STDERR "# $way\n";
    for my $g (@groups) {
        my ($base, $control, @others) = @{ $g->{subjects} };
        $g->{$way} = $run->group($base, $control, @others);
    }
    $run->run;
    return join "\n", map { $_->{$way}->table("$_->{title}, $way",
        [rps => 'requests a second', '%.0f'],
        [cpu => 'us of processor time a request', '%.1f'],
        [p99 => 'p99, ms', '%.2f']) } @groups;
}

# What is fast because it loses points is not worth a line in the table: the
# module has exactly one for every request.
sub check_points {
    for my $s (grep { $_->{per} } @all) {
        my $points = $s->{points}->();
        die "$s->{name}: $s->{sent} requests, $points points\n"
            if $points != $s->{sent};
    }
}

# ---- the tables ----

sub report {
    my $text = ImxReport::wrapped(sprintf('%s; event MPM. %s Pinned: '
        . '%s. The load tool and InfluxDB run on the same '
        . "machine. Processor time is httpd's own: its processes and mod_wsgi's "
        . 'daemon, delivery included. A sink takes the lines and forgets them, as '
        . 'an InfluxDB elsewhere would look from here; it gets no measurements '
        . 'of intervals, the InfluxDB here gets them all. Checked: the module '
        . 'delivered exactly a point for every request.',
        ImxVisit::in_words($rounds), ImxReport::PAIRS() . ' ' . ImxVisit::saturated(),
        ImxVisit::describe('pinned'))) . "\n";
    $text .= join "\n", map { $text{$_} } ImxVisit::ways();
    print $text;
    my ($way) = ImxVisit::ways();
    my ($file, $wsgi) = @groups;
    my @say = map {
        my ($g, $i, $what, $words) = @$_;
        ImxRounds::sentence($g->{$way}->compare($g->{subjects}[$i], $what),
            $words);
    } [$file, 2, cpu => 'processor time'], [$file, 2, rps => 'throughput'],
        [$file, 2, p99 => '99th percentile'],
        [$file, 3, p99 => '99th percentile'],
        [$wsgi, 2, cpu => 'processor time'], [$wsgi, 2, rps => 'throughput'],
        [$wsgi, 3, cpu => 'processor time'], [$wsgi, 3, rps => 'throughput'];
    ImxReport::write('load', $text, command => 'make bench',
        readme => "A request for a file of 12 bytes, delivery included: $say[0], "
            . "$say[1], $say[2]; with a sink for the points in the place of "
            . "InfluxDB: $say[3]. One for a mod_wsgi application: $say[4], "
            . "$say[5]; with a sink: $say[6], $say[7]. ("
            . ($way eq 'pinned' ? 'Server on one core, load and InfluxDB on '
                . 'another.' : 'On one core.') . ')',
        versions => join ', ', grep { defined }
            ImxReport::version(ImxTest::Httpd::_place()->{program}, '-v'),
            $python->{name}, ImxReport::version('influxd', 'version'));
}

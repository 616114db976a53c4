# The helper that delivers what is left at a stop: when it hangs it is killed,
# and the log says so; a step of the real clock changes no wait of the parent.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use Test::More;
use Time::HiRes qw(time);

my $db = influxd();
my $clock = work_dir() . '/clock';
spew($clock, pack 'q', 0);
chmod 0644, $clock;

sub step {
    my ($seconds) = @_;
    open my $f, '+<:raw', $clock or die "$clock: $!";
    syswrite $f, pack 'q', $seconds * 1e9;
    close $f;
}

# With points that a stopped InfluxDB does not take.
sub server {
    my ($mpm, $name, %o) = @_;
    my $database = "${name}_$mpm";
    $db->resume;
    $db->query("CREATE DATABASE $database");
    step(0);
    local %ENV = (%ENV, IMX_CLOCK => $clock, IMX_PRELOAD => join ' ',
        grep { defined } $ENV{IMX_PRELOAD}, build() . '/unit/clock.so')
        if $o{clock};
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        children => 2, conf => sub {
            return "InfluxMetricsDatabase $database\n"
                . "InfluxMetricsShutdownTimeout 2s\n" . ($o{spool}
                    ? 'InfluxMetricsSpool ' . $_[0]->dir . "/spool\n" : '');
        });
    get($h->url);
    wait_until(20, sub { (status($h) // {})->{points_sent} == 1 })
        or die "$mpm: no point arrives";
    $db->pause;
    load(url => $h->url, n => 50, c => 2);
    # A child of prefork that is told to end leaves what it is about to record.
    wait_until(20, sub { (status($h) // {})->{points_recorded} == 51 })
        or die "$mpm: not all is recorded";
    return $h;
}

# Sends SIGTERM; returns the helper, which is a new child of the parent.
sub stop_until_helper {
    my ($h) = @_;
    my %old = map { $_ => 1 } $h->children;
    my $helper;
    kill TERM => $h->pid;
    my $end = time + 20 * slow();
    until ($helper || time > $end || !$h->alive) {
        ($helper) = grep { !$old{$_} } $h->children;
        select undef, undef, undef, 0.01;
    }
    return $helper;
}

sub is_there {
    my ($pid) = @_;
    my ($state) = slurp("/proc/$pid/stat") =~ /\) (\S)/;
    return defined $state && $state !~ /[ZX]/;
}

# Real, effective, saved and of files: none of them.
sub is_root {
    my ($pid) = @_;
    return slurp("/proc/$pid/status") !~ /^Uid:(?:\s+[1-9]\d*){4}$/m;
}

for my $mpm (qw(event worker prefork)) {
    for my $steps (0, -3600) {
        my $how = $steps ? "$mpm, the clock is set back by an hour" : $mpm;
        my $h = server($mpm, $steps ? 'back' : 'hung', clock => $steps);
        my $begin = time;
        my $helper = stop_until_helper($h);
        ok($helper, "$how: there is a helper") or next;
        ok(wait_until(5, sub { !is_root($helper) }),
            "$how: it has not root's rights") if !$>;
        kill STOP => $helper;
        step($steps);
        ok(wait_until(20, sub { !$h->alive }), "$how: the server ends");
        my $seconds = time - $begin;
        cmp_ok($seconds, '<', 8 * slow(), sprintf '%s: after %.2f s', $how,
            $seconds);
        cmp_ok($seconds, '>', 3, "$how: it had its time");
        ok(!is_there($helper), "$how: the helper is not left behind");
        kill KILL => $helper if is_there($helper);
        is(scalar(grep { /:error\].*IMX0038: .*was killed/ } $h->error_log), 1,
            "$how: the log says so");
        is(scalar(grep { /IMX0033: 50 points are given up/ } $h->error_log), 1,
            "$how: and what it cost");
    }

    # Forward: the parent must not leave while the helper works.
    my $h = server($mpm, 'forward', clock => 1, spool => 1);
    my $helper = stop_until_helper($h);
    ok($helper, "$mpm, forward: there is a helper") or next;
    step(3600);
    ok(wait_until(20, sub { !$h->alive }), "$mpm, forward: the server ends");
    ok(!is_there($helper), "$mpm, forward: after its helper");
    is(scalar(grep { /IMX0033|IMX0038/ } $h->error_log), 0,
        "$mpm, forward: nothing is given up");
    my @files = glob($h->dir . '/spool/*.lp');
    my $lines = 0;
    $lines += slurp($_) =~ tr/\n// for @files;
    is($lines, 50, "$mpm, forward: the points are in the spool");
}
$db->resume;

# One body after the other arrives, slowly, and then the helper hangs: the time
# of ShutdownTimeout does not begin again with each of them.
my $standin = ImxStandin->new(slow => sub {
    return { %{ answer(204) }, store => 1, at => time + 0.5 };
});

sub was_asked { return scalar $standin->requests }

for my $mpm (qw(event prefork)) {
    $standin->mode('slow');
    my $h = httpd(mpm => $mpm, module => 1, influx => $standin, figures => 1,
        children => 2, conf => "InfluxMetricsShutdownTimeout 4s\n"
            . "InfluxMetricsInterval 60s\nInfluxMetricsMaxBody 64K\n"
            . 'InfluxMetricsMeasurement ' . 'x' x 300 . "\n");
    load(url => $h->url, n => 1500, c => 2);
    my $before = was_asked();
    my $helper = stop_until_helper($h);
    my $begin = time;
    ok($helper, "$mpm, slow: there is a helper") or next;
    ok(wait_until(20, sub { time - $begin > 2.5 && was_asked() >= $before + 2 }),
        "$mpm, slow: it delivers");
    kill STOP => $helper;
    ok(wait_until(20, sub { !$h->alive }), "$mpm, slow: the server ends");
    my $seconds = time - $begin;
    cmp_ok($seconds, '<', 9.2 * slow(), sprintf '%s, slow: after %.2f s',
        $mpm, $seconds);
    kill KILL => $helper if is_there($helper);
}

finish();

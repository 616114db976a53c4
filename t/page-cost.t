# What looking costs: three pages that are open take less than a hundredth of a
# processor, and ten thousand scrapes leak nothing.
# IMX_SCRAPES: how many (2000); IMX_COST_SECONDS: how long is measured (10).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

my $SCRAPES = $ENV{IMX_SCRAPES} // 2_000;
my $SECONDS = $ENV{IMX_COST_SECONDS} // 10;
my $TICKS = POSIX::sysconf(POSIX::_SC_CLK_TCK());

my $db = influxd();
my $h = httpd(module => 1, influx => $db, children => 1, threads => 8,
    vhosts => [map { ("host$_.example.org" => '') } 1 .. 10],
    conf => <<'CONF');
<Location /status>
SetHandler influx-metrics
</Location>
CONF

# Seconds of processor time of all children.
sub spent {
    my $ticks = 0;
    for ($h->children) {
        my @stat = split ' ', slurp("/proc/$_/stat") =~ s/^.*\) //sr;
        $ticks += $stat[11] + $stat[12];
    }
    return $ticks / $TICKS;
}

# As the script of each of so many pages does, in a second.
sub watch_with {
    my ($pages) = @_;
    my $sequence = JSON::PP::decode_json(
        get($h->url('/status?json&history'))->{content})->{sequence};
    my $before = spent();
    my $begin = time;
    while (time - $begin < $SECONDS) {
        my $next = time + 1;
        my $answer;
        $answer = get($h->url("/status?json&since=$sequence")) for 1 .. $pages;
        $sequence = JSON::PP::decode_json($answer->{content})->{sequence}
            if $answer;
        nap($next - time) if $next > time;
    }
    return (spent() - $before) / (time - $begin);
}

my $load = client(port => $h->port('host1.example.org'), c => 2, rate => 20,
    seconds => 2 * $SECONDS + 6);
ok(wait_until(20, sub { @{ status($h)->{hosts} } > 10 }), 'there are hosts');
my $alone = watch_with(0);
my $watched = watch_with(3);
diag sprintf '%.2f %% of a core, and %.2f %% with three pages open',
    100 * $alone, 100 * $watched;
SKIP: {
    skip 'a sanitizer is slow', 1 if $ENV{IMX_PRELOAD};
    cmp_ok($watched - $alone, '<', 0.01,
        'three pages take less than a hundredth of a core');
}
$load->wait;

# Anonymous memory of the child, KB.
sub memory {
    my ($kb) = map { slurp("/proc/$_/status") =~ /^RssAnon:\s*(\d+)/m }
        $h->children;
    return $kb;
}

sub files { return scalar(my @files = map { glob "/proc/$_/fd/*" } $h->children) }

# All forms; on one connection, as a scraper does.
sub scrape {
    my ($n) = @_;
    my @forms = ('', '?html', '?json', '?json&since=0', '?json&history',
        '?text', '?openmetrics', '?openmetrics&buckets=8');
    my $http = HTTP::Tiny->new(timeout => 20 * slow());
    my $bad = 0;
    $bad += !$http->get($h->url('/status' . $forms[$_ % @forms]))->{success}
        for 1 .. $n;
    is($bad, 0, "$n scrapes are answered");
}

# Each thread has its memory by then.
scrape($SCRAPES / 4);
my ($before, $open) = (memory(), files());
scrape($SCRAPES);
SKIP: {
    skip 'AddressSanitizer keeps freed memory', 1 if $ENV{IMX_PRELOAD};
    cmp_ok(memory() - $before, '<', 512, 'they leave no memory behind');
}
cmp_ok(files() - $open, '<=', 2, 'nor open files');
finish();

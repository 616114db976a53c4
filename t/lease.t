# InfluxDB sees one connection from a server, however many children there are;
# when the child that holds it is killed, another one goes on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();

# Connections to InfluxDB, by the pid of the child that has them open.
sub senders {
    my ($h) = @_;
    my $address = sprintf '0100007F:%04X', $db->port;
    my %inode = map { my @f = split; ("socket:[$f[9]]" => 1) }
        grep { / \Q$address\E 01 / } split /\n/, slurp('/proc/net/tcp');
    my %senders;
    for my $pid ($h->children) {
        my $n = grep { $inode{ readlink($_) // '' } } glob "/proc/$pid/fd/*";
        $senders{$pid} = $n if $n;
    }
    return \%senders;
}

for my $mpm (qw(event worker prefork)) {
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, children => 6,
        threads => 4, figures => 1, conf => "InfluxMetricsDatabase $mpm");
    my ($points, $holder) = (0, 0);
    for my $killed (0 .. 2) {
        # Over some ticks, so that each child that would send has its turn.
        my $r = client(port => $h->port, c => 4, rate => 30, seconds => 2.5)
            ->wait;
        $points += $r->{complete};
        count_is($db, $points, "$mpm: points after $killed killed holders",
            database => $mpm);
        my $senders = senders($h);
        is(scalar keys %$senders, 1, "$mpm: one of the children sends");
        my ($pid) = keys %$senders;
        is($senders->{$pid // 0}, 1, "$mpm: over one connection");
        isnt($pid, $holder, "$mpm: another one than before");
        $holder = $pid;
        $h->kill_child($holder) if defined $holder && $killed < 2;
        accounts_ok($h, "$mpm: $killed killed");
    }
    $h->graceful(gone => 1);
    load(url => $h->url, n => 200, c => 4);
    count_is($db, $points + 200, "$mpm: points after a graceful restart",
        database => $mpm);
    my $senders = senders($h);
    is(scalar keys %$senders, 1, "$mpm: still one sends");
    ok(!$senders->{$holder}, "$mpm: a child of the new generation");
    ok($h->stop, "$mpm: stops");
}

finish();

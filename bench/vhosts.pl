#!/usr/bin/perl
# vhosts.pl [--rounds N]: what virtual hosts cost in memory: the whole of 30
# prefork children (proportional set size: shared pages count once), with the
# module Off, Off once more, and On; and what a child keeps of one that it has
# served.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use List::Util qw(sum0);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxReport;
use ImxRounds;

my ($CHILDREN, $HOSTS, $rounds) = (30, 1000, $ENV{BENCH_ROUNDS} // 20);
GetOptions('rounds=i' => \$rounds) or die "usage: $0 [--rounds N]\n";
my $db = influxd();
my @servers = ({ name => 'module loaded, Off', on => 'Off' },
    { name => 'Off, once more: the control', on => 'Off' },
    { name => 'InfluxMetrics On', on => 'On' });

sub server {
    my ($on, $children) = @_;
    return httpd(mpm => 'prefork', module => 1,
        $on eq 'On' ? (influx => $db) : (),
        children => $children, conf => sub {
            my ($h) = @_;
            return "InfluxMetrics $on\n" . join '', map { <<"CONF" } 1 .. $HOSTS;
<VirtualHost 127.0.0.1:@{[$h->port]}>
ServerName v$_.example
</VirtualHost>
CONF
        });
}

# KB of a process's own and shared memory, the latter divided by its users.
sub pss {
    my ($pid) = @_;
    return slurp("/proc/$pid/smaps_rollup") =~ /^Pss:\s+(\d+)/m ? $1 : 0;
}

sub own {
    my ($pid) = @_;
    return slurp("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m ? $1 : 0;
}

# Each child answers once: it has done all that it does at its start.
sub all_children {
    my ($h) = @_;
    $h->wait_children(30);
    my %seen;
    wait_until(60, sub {
        get($h->url);
        $seen{ $_->{pid} } = 1 for $h->access_log;
        keys %seen >= $CHILDREN;
    }) or die 'some children have served nothing';
    return $h->children;
}

sub in_all {
    my ($on) = @_;
    my $h = server($on, $CHILDREN);
    my $mb = sum0(map { pss($_) } all_children($h)) / 1024;
    $h->stop;
    return $mb;
}

# Bytes that the one child has more after it has served each virtual host, for
# each of them.
sub kept {
    my ($on) = @_;
    my $h = server($on, 1);
    my ($child) = $h->children;
    my $before = own($child);
    raw($h->port, "GET / HTTP/1.1\r\nHost: v$_.example\r\n"
        . "Connection: close\r\n\r\n") for 1 .. $HOSTS;
    my $kb = own($child) - $before;
    $h->stop;
    return 1024 * $kb / $HOSTS;
}

for my $round (1 .. $rounds) {
    print STDERR "# round $round of $rounds\n";
    for my $s ($round % 2 ? @servers : reverse @servers) {
        push @{ $s->{mb} }, in_all($s->{on});
        push @{ $s->{kept} }, kept($s->{on});
    }
}
my ($off, @others) = @servers;
# More than the first in the same round, in KB and in bytes.
for my $s (@others) {
    @{ $s->{more} } = map { 1024 * ($s->{mb}[$_] - $off->{mb}[$_]) }
        0 .. $rounds - 1;
    @{ $s->{keeps} } = map { $s->{kept}[$_] - $off->{kept}[$_] }
        0 .. $rounds - 1;
}
my $control = $others[0];
print "| $CHILDREN prefork children, $HOSTS virtual hosts | MB in all | KB more "
    . "than the first | range | bytes that a child keeps for a virtual host that "
    . "it has served | more than the first | range |\n" . '|---' x 7 . "|\n";
for my $s (@servers) {
    print '| ' . join(' | ', $s->{name},
        ImxRounds::ranged('%.1f', @{ $s->{mb} }),
        $s == $off ? (' | ') : ImxRounds::added(
            $s == $control ? undef : $control->{more}, @{ $s->{more} }),
        ImxRounds::ranged('%.0f', @{ $s->{kept} }),
        $s == $off ? (' | ') : ImxRounds::added(
            $s == $control ? undef : $control->{keeps}, @{ $s->{keeps} }))
        . " |\n";
}
print "\n", ImxReport::wrapped("Medians and ranges of $rounds interleaved rounds, "
    . 'each of servers that are started anew. What the second is more than the '
    . 'first is the control: what is no more than that differs by is "not '
    . 'distinguishable".');

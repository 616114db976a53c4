#!/usr/bin/perl
# vhosts.pl: what virtual hosts cost in memory: the whole of 30 prefork children
# (proportional set size: shared pages count once), with the module Off and On;
# and what one more is in a child that has served it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;

my ($CHILDREN, $HOSTS) = (30, 1000);
my $db = influxd();

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

sub sum { my $n = 0; $n += $_ for @_; return $n }

# Each child answers once: it has done all that it does at its start.
sub all_children {
    my ($h) = @_;
    wait_until(30, sub { (my @c = $h->children) >= $CHILDREN }) or die 'children missing';
    my %seen;
    wait_until(60, sub {
        get($h->url);
        $seen{ $_->{pid} } = 1 for $h->access_log;
        keys %seen >= $CHILDREN;
    }) or die 'some children have served nothing';
    return $h->children;
}

my @mb;
for my $on (qw(Off Off On)) {
    my $h = server($on, $CHILDREN);
    push @mb, sum(map { pss($_) } all_children($h)) / 1024;
    $h->stop;
}

sub ask_all {
    my ($h) = @_;
    raw($h->port, "GET / HTTP/1.1\r\nHost: v$_.example\r\n"
        . "Connection: close\r\n\r\n") for 1 .. $HOSTS;
}

my %served;
for my $on (qw(Off On)) {
    my $h = server($on, 1);
    my ($child) = $h->children;
    my $before = own($child);
    ask_all($h);
    $served{$on} = (own($child) - $before) / $HOSTS;
    $h->stop;
}

printf "| $CHILDREN prefork children, $HOSTS virtual hosts | MB in all |\n"
    . "|---|---|\n| module loaded, Off | %.1f |\n"
    . "| the same once more: the control | %.1f |\n"
    . "| InfluxMetrics On | %.1f |\n\n"
    . "A child that has served a virtual host keeps %.1f KB for it.\n",
    @mb, $served{On} - $served{Off};

#!/usr/bin/perl
# scrape.pl: what Prometheus' asking costs the server: processor time of all its
# processes for an answer, how large that is, by the number of virtual hosts,
# and whether memory grows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use ImxTest;
use IO::Socket::INET;
use POSIX ();

my $scrapes = $ENV{IMX_SCRAPES} // 1000;
my $hz = POSIX::sysconf(POSIX::_SC_CLK_TCK());
my $open = "Accept: application/openmetrics-text\r\n";

sub server {
    my ($hosts) = @_;
    my $h = httpd(module => 1, influx => 'http://127.0.0.1:9', children => 1,
        threads => 4, figures => 1, conf => sub {
            my ($h) = @_;
            return join '', map { <<"CONF" } 1 .. $hosts;
<VirtualHost 127.0.0.1:@{[$h->port]}>
ServerName v$_.example.org
</VirtualHost>
CONF
        });
    raw($h->port, "GET / HTTP/1.1\r\nHost: v$_.example.org\r\n"
        . "Connection: close\r\n\r\n") for 1 .. $hosts;
    wait_until(30, sub { figures($h)->{requests_counted} == $hosts })
        or die 'requests are missing';
    return $h;
}

# Seconds of processor time, and KB of its own memory, of the one child.
sub cpu {
    my @stat = split ' ', slurp("/proc/$_[0]/stat") =~ s/.*\) //sr;
    return ($stat[11] + $stat[12]) / $hz;
}

sub own { return slurp("/proc/$_[0]/status") =~ /^RssAnon:\s+(\d+)/m ? $1 : 0 }

# On one connection, as Prometheus does it.
sub scrape {
    my ($h, $query, $n, $headers) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $h->port('figures')) or die "connect: $!";
    my $bytes = 0;
    for (1 .. $n) {
        syswrite $s, "GET /?$query HTTP/1.1\r\nHost: x\r\n$headers\r\n";
        my $got = '';
        until ($got =~ /\r\n0\r\n\r\n\z/ || ($got =~
            /\nContent-Length: (\d+).*?\r\n\r\n(.*)\z/s && length $2 == $1)) {
            sysread($s, $got, 1 << 20, length $got) or die 'no answer';
        }
        $bytes = length $got;
    }
    return $bytes;
}

print "| virtual hosts | form | size, KB | ms of processor time a scrape |\n"
    . "|---|---|---|---|\n";
my $grown;
for my $hosts (1, 10, 100) {
    my $h = server($hosts);
    my ($child) = $h->children;
    for my $form (['OpenMetrics', 'openmetrics', $open],
        ['text 0.0.4', 'openmetrics', ''],
        ['text, &buckets=8', 'openmetrics&buckets=8', ''],
        ['&compat=apache_exporter', 'openmetrics&compat=apache_exporter', '']) {
        my ($name, @how) = @$form;
        scrape($h, $how[0], 20, $how[1]);
        my $before = cpu($child);
        my $bytes = scrape($h, $how[0], $scrapes, $how[1]);
        printf "| %d | %s | %.1f | %.2f |\n", $hosts, $name, $bytes / 1024,
            1000 * (cpu($child) - $before) / $scrapes;
    }
    if ($hosts == 10) {
        my $before = own($child);
        scrape($h, 'openmetrics', 10_000, $open);
        $grown = own($child) - $before;
    }
    $h->stop;
}
printf "\nTen thousand scrapes of 10 hosts: memory of the child grew by %d KB.\n",
    $grown;

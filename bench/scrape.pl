#!/usr/bin/perl
# scrape.pl: what Prometheus' asking costs the server: processor time of all its
# processes for an answer, how large that is, by the number of virtual hosts,
# and whether memory grows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxRounds;
use ImxVisit;
use IO::Socket::INET;

my ($rounds, $scrapes) = ($ENV{BENCH_ROUNDS} // 20, 50);
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

# KB of its own memory, of the one child.
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

# The first form comes once more, as a control.
my @FORMS = (['OpenMetrics', 'openmetrics', $open],
    ['OpenMetrics, once more: the control', 'openmetrics', $open],
    ['text 0.0.4', 'openmetrics', ''],
    ['text, &buckets=8', 'openmetrics&buckets=8', ''],
    ['&compat=apache_exporter', 'openmetrics&compat=apache_exporter', '']);

sub milliseconds {
    my ($h, $child, $form) = @_;
    my $before = ImxVisit::cpu_ns($child);
    my $bytes = scrape($h, $form->[1], $scrapes, $form->[2]);
    return ((ImxVisit::cpu_ns($child) - $before) / 1e6 / $scrapes, $bytes);
}

print "| virtual hosts | form | size, KB | ms of processor time a scrape |\n"
    . "|---|---|---|---|\n";
my @grown;       # KB of the child, by ten thousand scrapes
for my $hosts (1, 10, 100) {
    my $h = server($hosts);
    my ($child) = $h->children;
    ImxVisit::pin_as_usual([$$], [{ pids => ImxVisit::httpd_pids($h) }]);
    my (%ms, %bytes);
    for my $round (0 .. $rounds) {      # the first warms
        for my $form ($round % 2 ? @FORMS : reverse @FORMS) {
            my ($ms, $bytes) = milliseconds($h, $child, $form);
            push @{ $ms{ $form->[0] } }, $ms if $round;
            $bytes{ $form->[0] } = $bytes;
        }
    }
    for my $name (map { $_->[0] } @FORMS) {
        my ($q1, $median, $q3) = ImxRounds::quartiles(@{ $ms{$name} });
        printf "| %d | %s | %.1f | %.3f (%.3f .. %.3f) |\n", $hosts, $name,
            $bytes{$name} / 1024, $median, $q1, $q3;
    }
    for ($hosts == 10 ? (1, 2) : ()) {
        my $before = own($child);
        scrape($h, 'openmetrics', 10_000, $open);
        push @grown, own($child) - $before;
    }
    $h->stop;
}
print "\nMedian (quartiles) of $rounds interleaved rounds of $scrapes scrapes;\n"
    . ImxVisit::cores_in_words() . ".\n";
printf "Ten thousand scrapes of 10 hosts: memory of the child grew by %d KB, by "
    . "%d KB in\nthe next ten thousand.\n", @grown;

# Settings that a request chooses: combinations of sections that are merged in a
# child for the first time, by many threads at once, more of them than are kept;
# a thousand virtual hosts; memory that stays as it is.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use POSIX ();
use Test::More;

srand 5;
my $db = influxd();

# Sends requests, 100 on a connection, from a process of its own.
sub client_of {
    my ($port, @requests) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    while (my @some = splice @requests, 0, 100) {
        $some[-1] =~ s/\r\n\r\n\z/\r\nConnection: close\r\n\r\n/;
        raw($port, join('', @some), timeout => 120);
    }
    POSIX::_exit(0);
}

# By four clients at once.
sub send_all {
    my ($port, @requests) = @_;
    my @clients = map { my $i = $_;
        client_of($port, map { $requests[$_] }
            grep { $_ % 4 == $i } 0 .. $#requests) } 0 .. 3;
    waitpid $_, 0 for @clients;
}

# KB of the children's own memory; the buffer is shared.
sub rss {
    my ($h) = @_;
    my $sum = 0;
    $sum += $_ for map { slurp("/proc/$_/status") =~ /^RssAnon:\s+(\d+)/m }
        $h->children;
    return $sum;
}

my @letters = ('a' .. 'n');             # 2^14 combinations
my $sections = join '', map {
    $_ eq 'b'
        ? "<LocationMatch ^/.*b>\nInfluxMetricsField f_b int 1\n"
            . "</LocationMatch>\n"
        : "<If \"%{QUERY_STRING} =~ /$_/\">\nInfluxMetricsField f_$_ int 1\n"
            . "</If>\n"
} @letters;

sub some_letters {
    my ($of) = @_;
    return join '', grep { rand 2 < 1 } @$of;
}

sub request {
    my ($n, $q) = @_;
    my $path = $q =~ /b/ ? 'b.txt' : 'x.txt';
    return "GET /$path?$q HTTP/1.1\r\nHost: x\r\nN: $n\r\n\r\n";
}

for my $mpm (qw(event prefork)) {
    subtest "$mpm: more combinations than are kept" => sub {
        my $h = httpd(mpm => $mpm, module => 1, influx => $db, children => 1,
            threads => 16, start => 0, conf => "InfluxMetricsDatabase $mpm\n"
                . "InfluxMetricsFields +query\n"
                . "InfluxMetricsField n int \"%{req:N}\"\n$sections");
        $h->put('htdocs/b.txt', 'x');
        $h->put('htdocs/x.txt', 'x');
        $h->start;
        send_all($h->port, map { request(0, '') } 1 .. 4000);
        my $before = rss($h);
        my $n = 0;
        send_all($h->port, map { request(++$n, some_letters(\@letters)) }
            1 .. 8_000);
        my $between = rss($h);
        send_all($h->port, map { request(++$n, some_letters(\@letters)) }
            1 .. 4_000);
        my $after = rss($h);
        count_is($db, 4000 + $n, 'each is a point', database => $mpm,
            seconds => 60);
        my @rows = $db->query('SELECT * FROM "raw-requests" WHERE n > 0', $mpm);
        my $wrong = grep {
            my $p = $_;
            my $is = join '', grep { defined $p->{"f_$_"} } @letters;
            ($p->{query} // '') ne $is;
        } @rows;
        is($wrong, 0, 'with the fields of its sections and no other');
        my $kinds = keys %{ { map { ($_->{query} // '') => 1 } @rows } };
        cmp_ok($kinds, '>', 6000, "$kinds combinations");
        SKIP: {
            skip 'a sanitizer keeps what is freed', 2 if $ENV{IMX_PRELOAD};
            cmp_ok($between - $before, '<', 12_000, 'memory has a bound: '
                . "$before KB, $between KB");
            cmp_ok($after - $between, '<', 1_000, "and stays: $after KB");
        }
        $h->graceful(gone => 1);
        send_all($h->port, map { request(++$n, some_letters(\@letters)) }
            1 .. 500);
        count_is($db, 4000 + $n, 'also after a graceful restart',
            database => $mpm);
        is_deeply([grep { /exit signal/ } $h->error_log], [], 'no crash');
    };
}

subtest 'a thousand virtual hosts, first asked by many threads' => sub {
    my $h = httpd(module => 1, influx => $db, children => 1, threads => 32,
        conf => sub {
            my ($h) = @_;
            my $port = $h->port;
            return "InfluxMetricsDatabase vhosts\n"
                . "InfluxMetricsFields +uri\n<Location /in>\n"
                . "InfluxMetricsField place string in\n</Location>\n"
                . join '', map {
                    "<VirtualHost 127.0.0.1:$port>\nServerName v$_.test\n"
                    . "InfluxMetricsField host int $_\n<Location /own>\n"
                    . "InfluxMetricsField place string own$_\n</Location>\n"
                    . "</VirtualHost>\n" } 1 .. 1000;
        });
    my @requests = map { my $v = $_;
        map { "GET $_ HTTP/1.1\r\nHost: v$v.test\r\n\r\n" } '/x', '/in', '/own'
    } 1 .. 1000;
    # Twice each, close together, on different connections.
    send_all($h->port, map { ($_, $_) } @requests);
    count_is($db, 6000, 'each is a point', database => 'vhosts');
    my @rows = $db->query('SELECT * FROM "raw-requests"', 'vhosts');
    my $wrong = grep {
        my ($v) = $_->{server} =~ /(\d+)/;
        my $place = { '/x' => '', '/in' => 'in', '/own' => "own$v" }
            ->{ $_->{uri} };
        $_->{host} != $v || ($_->{place} // '') ne $place;
    } @rows;
    is($wrong, 0, 'with what its virtual host and place say');
    is_deeply([$h->complaints], [], 'no complaint');
};

subtest 'memory stays as it is' => sub {
    plan skip_all => 'a sanitizer keeps what is freed' if $ENV{IMX_PRELOAD};
    my $requests = $ENV{IMX_REQUESTS} // 40_000;
    my $h = httpd(module => 1, influx => $db, children => 1, threads => 8,
        start => 0, conf => "InfluxMetricsDatabase flat\n"
            . "InfluxMetricsFields +uri +query +user_agent +referer\n"
            . "InfluxMetricsTag t \"%{req:X-T}\"\nInfluxMetricsTags +user\n"
            . "InfluxMetricsTag path \"%{REQUEST_URI}\"\n"
            . "InfluxMetricsTagLimit 100\n<LocationMatch ^/.*x>\n"
            . "InfluxMetricsField f int \"%{REQUEST_STATUS}\"\n"
            . "</LocationMatch>\n<If \"-n %{QUERY_STRING}\">\n"
            . "InfluxMetricsField g int 1\n</If>\n");
    $h->put('htdocs/x.txt', 'x');
    $h->start;
    my $text = sub {
        my ($n) = @_;
        return 'GET /' . ($n % 3 ? 'x.txt' : "p$n") . ($n % 2 ? "?$n" : '')
            . " HTTP/1.1\r\nHost: x\r\nX-T: $n\r\nUser-Agent: agent $n\r\n\r\n";
    };
    my $n = 0;
    my @rss;
    for (1 .. 4) {
        send_all($h->port, map { $text->(++$n) } 1 .. $requests / 4);
        push @rss, rss($h);
    }
    count_is($db, $n, 'each is a point', database => 'flat', seconds => 60);
    cmp_ok($rss[3] - $rss[1], '<', 1_000, "in KB: @rss");
};

finish();

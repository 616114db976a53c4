# InfluxMetricsGzip against real databases, and through a proxy that shows what
# passes, or refuses it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();
my $on = 'InfluxMetricsGzip on';

# A proxy that logs of each write how it is encoded, and how long it is.
my $refuse = 'RewriteEngine on';
for my $status (411, 415) {
    $refuse .= "\nRewriteCond %{HTTP:Content-Encoding} gzip\n"
        . "RewriteRule ^/$status - [R=$status,L]";
}
my $proxy = httpd(modules => [qw(proxy proxy_http rewrite)], conf => sub {
    my ($self) = @_;
    my $dir = $self->dir;
    return join "\n", $refuse, map({ "ProxyPass /$_ " . $db->url }
            qw(411 415 none)), 'ProxyPass / ' . $db->url('/'),
        qq{CustomLog $dir/encoding.log "%U %{Content-Encoding}i }
            . qq{%{Transfer-Encoding}i %{Content-Length}i %>s"};
});

sub writes {
    return grep { m{/write } } split /\n/, slurp($proxy->dir . '/encoding.log');
}

my $serial = 0;
sub start {
    my ($url, $conf) = @_;
    my $h = httpd(module => 1, influx => $url, conf =>
        'InfluxMetricsDatabase db' . ++$serial . "\n$conf");
    $h->{database} = "db$serial";
    return $h;
}

sub arrive {
    my ($h, $n, $name) = @_;
    count_is($db, $n, $name, database => $h->{database}, seconds => 60);
}

subtest 'InfluxDB' => sub {
    my $h = start($db, $on);
    load(url => $h->url('/index.html'), n => 3000, c => 4);
    arrive($h, 3000, 'takes it');
    my ($row) = $db->query('SELECT sum(bytes_sent) AS n FROM "raw-requests" '
        . q{WHERE "method" = 'GET' AND "status" = '200'}, $h->{database});
    is($row->{n}, 3000 * length "hello world\n", 'byte for byte');
    $db->kill;
    load(url => $h->url, n => 500, c => 4);
    $db->start;
    arrive($h, 3500, 'and after it was killed');
    is(scalar(grep { /IMX0022/ } $h->error_log), 0, 'nothing was refused');
};

subtest 'VictoriaMetrics' => sub {
    my $vm = victoria();
    my $h = start($vm, $on);
    load(url => $h->url, n => 300, c => 2);
    ok(wait_until(30, sub {
        300 == grep { 1 } $vm->samples('raw-requests_bytes_sent');
    }), 'takes it') or diag scalar $vm->samples('raw-requests_bytes_sent');
};

# auto is off on this host; 127.1 is this host too, but not said so that it is
# known as that.
for my $case (['on', '127.0.0.1', 1], ['off', '127.1', 0],
    ['auto', '127.0.0.1', 0], ['auto', 'localhost', 0], ['auto', '127.1', 1]) {
    my ($value, $host, $packed) = @$case;
    subtest "$value, $host" => sub {
        my $before = writes();
        my $h = start("http://$host:" . $proxy->port,
            "InfluxMetricsGzip $value");
        load(url => $h->url, n => 1000, c => 4);
        arrive($h, 1000, 'the points arrive');
        my @lines = writes();
        my @seen = splice @lines, $before;
        cmp_ok(scalar @seen, '>=', 1, 'through the proxy');
        my $pattern = $packed ? qr/ gzip chunked - 20\d$/ : qr/ - - \d+ 20\d$/;
        is(scalar(grep { !/$pattern|404$/ } @seen), 0,
            $packed ? 'compressed' : 'as they are') or diag join "\n", @seen;
        $h->stop;
    };
}

for my $status (411, 415) {
    subtest "a proxy that answers gzip with $status" => sub {
        my $before = writes();
        my $h = start($proxy->url("/$status"), $on);
        load(url => $h->url, n => 300, c => 2);
        arrive($h, 300, 'the points arrive');
        load(url => $h->url, n => 100, c => 2);
        arrive($h, 400, 'and those that follow');
        my @lines = writes();
        my @seen = splice @lines, $before;
        is(scalar(grep { / gzip .* $status$/ } @seen), 1, 'it was asked once')
            or diag join "\n", @seen;
        is(scalar(grep { /IMX0020:.*gzip/ } $h->error_log), 1,
            'the log tells of it');
        $h->stop;
    };
}

finish();

# Streams of HTTP/2 are requests: ten thousand of them over ten connections are
# ten thousand points, whose phases add up; of a hundred at once each is
# measured by itself; a client that is gone, or takes its stream back, has
# aborted it, and one that ends its connection when it has everything has not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxApp;
use ImxCurl;
use ImxH2;
use ImxTest;
use Test::More;

setpriority 0, 0, -10 if !$>;   # as in phases.t

my $db = influxd();
my $serial = 0;
my $big = 50 * 1024 * 1024;     # more than curl reads ahead

sub server {
    my (%o) = @_;
    my $name = 'h2' . ++$serial;
    my $h = httpd(module => 1, influx => $db, children => 2, threads => 64,
        modules => [qw(alias cgid http2 wsgi)], start => 0,
        conf => sub { <<"CONF" });
InfluxMetricsDatabase $name
InfluxMetricsInterval 100ms
InfluxMetricsFields +server_time +input_time +output_time +ttfb +aborted +uri
InfluxMetricsFields +keepalive
InfluxMetricsTags +protocol
Protocols h2c http/1.1
H2MaxSessionStreams 100
H2MinWorkers 128
H2MaxWorkers 128
ScriptAlias /cgi/ $_[0]{dir}/htdocs/cgi/
WSGIScriptAlias /wsgi $_[0]{dir}/app.wsgi
WSGIApplicationGroup %{GLOBAL}
CONF
    $h->put('app.wsgi', ImxApp::wsgi());
    $h->put('htdocs/cgi/app', ImxApp::cgi(), 0755);
    return ($h->start, $name);
}

# h2load, which must get what it asks for.
sub streams {
    my ($url, $n, $connections) = @_;
    my $h2load = which_one('h2load')
        or die 'h2load (nghttp2-client) is not installed';
    open my $p, '-|', $h2load, '-n', $n, '-c', $connections, '-m', 100, $url
        or die "h2load: $!";
    my $text = do { local $/; <$p> };
    close $p or die "h2load failed: $text";
    like($text, qr/^status codes: $n 2xx, 0 3xx, 0 4xx, 0 5xx/m,
        "$n streams are answered") or diag $text;
}

sub points {
    my ($name, $n) = @_;
    count_is($db, $n, "... and are $n points", database => $name,
        seconds => 30);
    return $db->query('SELECT * FROM "raw-requests"', $name);
}

sub are_sound {
    my (@points) = @_;
    my ($sums, $ttfbs) = (0, 0);
    for my $p (@points) {
        my $sum = 0;
        $sum += $p->{$_} // 0 for qw(server_time application_time input_time
            output_time);
        $sums += abs($sum - $p->{request_time}) <= 6e-6;
        $ttfbs += $p->{ttfb} >= $p->{server_time} - 1e-6
            && $p->{ttfb} <= $p->{request_time} + 1e-6;
    }
    is($sums, @points, '... whose phases add up');
    is($ttfbs, @points, '... with ttfb between');
    is(scalar(grep { $_->{protocol} ne 'HTTP/2.0' } @points), 0,
        '... of HTTP/2');
    is(scalar(grep { $_->{aborted} } @points), 0, '... and nobody went away');
    is(scalar(grep { defined $_->{keepalive} } @points), 0,
        '... and no number on their connection');
}

subtest 'ten thousand streams over ten connections' => sub {
    my ($h, $name) = server();
    streams($h->url('/index.html'), 10_000, 10);
    my @points = points($name, 10_000);
    are_sound(@points);
    is(scalar(grep { $_->{status} ne '200' || $_->{bytes_sent} != 12 }
        @points), 0, '... with status and size');
    is($h->access_count, 10_000, 'the access log has as many');
};

# A sleeping application lets the others of its process run.  On a busy machine
# an answer can wait for a thread of httpd's: the best of three.
subtest 'a hundred slow streams at once' => sub {
    my @points;
    for my $try (1 .. 3) {
        my ($h, $name) = server();
        streams($h->url('/wsgi/app?app=0.2'), 100, 1);
        @points = points($name, 100);
        last if !grep { $_->{output_time} > 0.2 } @points;
        diag "try $try: some answers had to wait";
    }
    are_sound(@points);
    is(scalar(grep { $_->{application_time} < 0.2 } @points), 0,
        'the application has its time in each');
    is(scalar(grep { $_->{output_time} > 0.2 || $_->{input_time} > 0.2 }
        @points), 0, '... and the client has not');
    my $all = 0;
    $all += $_->{request_time} for @points;
    my ($longest) = sort { $b <=> $a } map { $_->{request_time} } @points;
    cmp_ok($all, '>', 5 * $longest, 'they were at once');
};

# Its answer comes when nobody wants it any more, in several pieces or in one:
# whichever of them meets the reset, it is seen.
subtest 'streams that are taken back' => sub {
    my ($h, $name) = server();
    my ($connections, $each) = (40, 4);   # mod_http2 begins with 6
    my @taken;
    get($h->url('/cgi/app')) for 1 .. 4;    # its children are ready
    for my $i (1 .. $connections) {
        my $c = ImxH2->new($h->port);
        my @ids = map { $c->request('GET', '/cgi/app?'
            . ($_ % 2 ? 'app=0.2' : 'late=0.2')) } 1 .. $each;
        push @taken, [$c, @ids];
    }
    nap(0.05);
    for my $t (@taken) {
        my ($c, @ids) = @$t;
        $c->cancel($_) for @ids;
    }
    # A stream that is taken back before it began is no request.
    my $logged = 0;
    wait_until(20, sub {
        my $before = $logged;
        nap(1);
        return ($logged = $h->access_count) > 4 && $logged == $before;
    });
    cmp_ok($logged, '>', 4 + $connections * $each / 2, 'most of them had begun');
    my @points = points($name, $logged);
    $_->[0]->leave for @taken;
    my @not = grep { !$_->{aborted} && $_->{protocol} eq 'HTTP/2.0' } @points;
    is(scalar @not, 0, '... and each of them is aborted') or diag map {
        "$_->{status} $_->{bytes_sent} $_->{request_time}\n" } @not;
};

subtest 'clients that are gone' => sub {
    my ($h, $name) = server();
    my @flags = qw(--http2-prior-knowledge);
    ImxCurl::ask($h->url("/wsgi/app?big=$big"), flags => \@flags, leave => 1);
    ImxCurl::ask($h->url('/index.html'), flags => \@flags);
    my @points = points($name, 2);
    my %point = map { $_->{uri} => $_ } @points;
    ok($point{'/wsgi/app'}{aborted}, 'one that left in the middle');
    ok($point{'/index.html'} && !$point{'/index.html'}{aborted},
        'one that has all of its answer, and ended its connection');
    my @sound = grep {
        my $p = $_;
        my $sum = 0;
        $sum += $p->{$_} // 0 for qw(server_time application_time input_time
            output_time);
        abs($sum - $p->{request_time}) <= 6e-6;
    } @points;
    is(scalar @sound, 2, 'their phases add up');
};

finish();

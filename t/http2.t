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
use Time::HiRes qw(time);

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

# The most requests that were under way at one time: a point has its end and how
# long it took.
sub most_at_once {
    my (@points) = @_;
    my ($now, $most) = (0, 0);
    for my $step (sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] } map {
        [$_->{time} - int($_->{request_time} * 1e9), 1], [$_->{time}, -1]
    } @points) {
        $now += $step->[1];
        $most = $now if $now > $most;
    }
    return $most;
}

# A sleeping application lets the others of its process run.  On a busy machine
# an answer can wait for a thread of httpd's: what the application takes grows
# until that is small beside it.
subtest 'a hundred slow streams at once' => sub {
    my ($takes, @points, @waited);
    for my $try (0 .. 4) {
        $takes = 0.2 * 2 ** $try;
        my ($h, $name) = server();
        streams($h->url("/wsgi/app?app=$takes"), 100, 1);
        @points = points($name, 100);
        @waited = grep { $_->{output_time} > $takes
            || $_->{input_time} > $takes } @points;
        last if !@waited && most_at_once(@points) > 50;
        diag sprintf '%s s: %d answers had to wait as long, %d were at once',
            $takes, scalar @waited, most_at_once(@points);
    }
    are_sound(@points);
    is(scalar(grep { $_->{application_time} < $takes } @points), 0,
        "the application has its $takes s in each");
    is(scalar @waited, 0, '... and the client has not');
    cmp_ok(most_at_once(@points), '>', 50, 'they were at once');
};

# Each connection asks for so many, whose answers take so long, and takes them
# back.  True when that was done well before any of them was due.
sub take_back {
    my ($h, $connections, $each, $takes) = @_;
    my $begin = time;
    my @taken;
    for (1 .. $connections) {
        my $c = ImxH2->new($h->port);
        my @ids = map { $c->request('GET', '/cgi/app?'
            . ($_ % 2 ? 'app' : 'late') . "=$takes") } 1 .. $each;
        push @taken, [$c, @ids];
    }
    nap(0.05);
    for my $t (@taken) {
        my ($c, @ids) = @$t;
        $c->cancel($_) for @ids;
    }
    my $in_time = time - $begin < $takes / 2;
    # A stream that is taken back before it began is no request.
    my $logged = 0;
    wait_until(20, sub {
        my $before = $logged;
        nap(1 + $takes);
        return ($logged = $h->access_count) > 4 && $logged == $before;
    });
    $_->[0]->leave for @taken;
    return $in_time;
}

# Their answers come when nobody wants them any more, in several pieces or in
# one: whichever of them meets the reset, it is seen.  A machine that is too busy
# to take them back in time is given more; the fault that this looks for was
# there in 8 of 160 streams, however long they took.
subtest 'streams that are taken back' => sub {
    my ($connections, $each) = (40, 4);   # mod_http2 begins with 6
    my (@points, @not, $logged);
    for my $try (0 .. 4) {
        my $takes = 0.2 * 2 ** $try;
        my ($h, $name) = server();
        get($h->url('/cgi/app')) for 1 .. 4;    # its children are ready
        my $in_time = take_back($h, $connections, $each, $takes);
        $logged = $h->access_count;
        @points = points($name, $logged);
        @not = grep { !$_->{aborted} && $_->{protocol} eq 'HTTP/2.0' } @points;
        last if $in_time && !@not;
        diag "$takes s: taken back too late, or seen too late: " . @not;
    }
    cmp_ok($logged, '>', 4 + $connections * $each / 2, 'most of them had begun');
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

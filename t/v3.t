# InfluxDB 3's API, against a stand-in that answers as its documentation says: a
# real one cannot be had here.  Lines of requests that ended with 404 are the
# ones that it refuses.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use JSON::PP qw(encode_json);
use Test::More;

sub is_bad { $_[0] =~ /status=404/ }

sub entry {
    my ($r, $i) = @_;
    return { original_line => substr($r->{lines}[$i], 0, 30),
        line_number => $i + 1, error_message => 'invalid column type' };
}

my $token = 'Bearer right-token';

sub guarded {
    my ($code) = @_;
    return sub {
        my ($r) = @_;
        return answer(401, '{"error":"the request was not authenticated"}')
            if ($r->{headers}{authorization} // '') ne $token;
        return $code->($r);
    };
}

# accept_partial: the good lines are stored, at most 100 of the others named.
sub partial {
    my ($r) = @_;
    my @bad = grep { is_bad($r->{lines}[$_]) } 0 .. $#{ $r->{lines} };
    my @good = grep { !is_bad($_) } @{ $r->{lines} };
    return { %{ answer(204) }, store => \@good } if !@bad;
    splice @bad, 100 if @bad > 100;
    return { %{ answer(400, encode_json({
        error => 'partial write of line protocol occurred',
        data => [map { entry($r, $_) } @bad] })) }, store => \@good };
}

sub whole {
    my ($r) = @_;
    my ($bad) = grep { is_bad($r->{lines}[$_]) } 0 .. $#{ $r->{lines} };
    return { %{ answer(204) }, store => 1 } if !defined $bad;
    return answer(400, encode_json({
        error => 'parsing failed for write_lp endpoint',
        data => entry($r, $bad) }));
}

my @five = map { "db$_" } 1 .. 5;
my $s = ImxStandin->new(
    six => influxdb3(bad => \&is_bad, now => 1),
    ten => influxdb3(bad => \&is_bad, now => 1, version => '3.10'),
    slow => influxdb3(bad => \&is_bad),
    full => influxdb3(databases => \@five),
    small => influxdb3(max => 20_000, now => 1),
    open => \&partial,
    ok => guarded(\&partial), whole => guarded(\&whole),
    later => guarded(sub {
        answer(503, '{"error":"busy"}', 'Retry-After: 2') }),
    missing => guarded(sub {
        answer(404, '{"error":"database \'metrics\' not found"}') }));

sub server {
    my ($word, $conf) = @_;
    my $h = httpd(module => 1, influx => $s, figures => 1, start => 0);
    my $file = $h->secret('token', ($word // 'right-token') . "\n");
    $h->reconf(conf => <<"CONF");
InfluxMetricsTokenFile $file
InfluxMetricsInterval 2s
@{[ $conf // "InfluxMetricsAPI v3\nInfluxMetricsDatabase metrics" ]}
CONF
    return $h->start;
}

sub request {
    my ($h, $good, $bad) = @_;
    load(url => $h->url, n => int $good / 2, c => 4);
    client(port => $h->port, n => $bad, c => 2, path => '/missing')->wait
        if $bad;
    load(url => $h->url, n => $good - int $good / 2, c => 4);
}

# good and bad requests; what the log says of the bad ones, in one line.
sub refused {
    my ($good, $bad, $mode, @words) = @_;
    $s->mode($mode);
    my ($before, $stored) = (scalar $s->requests, $s->stored);
    my $h = server();
    request($h, $good, $bad);
    figures_are($h, { points_sent => $good, points_rejected => $bad,
        points_pending => 0, points_dropped => 0 }, 'each is counted',
        seconds => 60);
    is($s->stored, $stored + $good, 'the good ones are stored');
    my @lines = grep { /IMX00(?!17|29)\d\d:/ } $h->error_log;
    is(scalar @lines, 1, 'one line in the log') or diag join "\n", @lines;
    like($lines[0] // '', qr/:error\].*IMX0022: .*\Q$_\E/, "it says: $_")
        for @words, '; one of them: raw-requests,', 'status=404';
    ok($h->stop, 'stops');
    return scalar($s->requests) - $before;
}

subtest 'what is asked' => sub {
    my $h = server();
    request($h, 300, 0);
    figures_are($h, { points_sent => 300, points_pending => 0,
        last_status => 204 }, '300 points are sent');
    is($s->stored, 300, 'and stored');
    my %paths = map { ("$_->{method} $_->{path}" => 1) } $s->requests;
    is_deeply([sort keys %paths], ['POST /api/v3/write_lp?db=metrics'
        . '&precision=nanosecond&accept_partial=true&no_sync=false'],
        'the path, and nothing else');
    $h->stop;
};

subtest 'one line of 10,000' => sub {
    my $n = refused(9999, 1, 'ok', 'refused 1 points', 'invalid column type',
        'partial write of line protocol occurred');
    cmp_ok($n, '<=', 6, 'its number names it: nothing is sent for that');
};

subtest 'more than it tells of' => sub {
    refused(700, 450, 'ok', 'invalid column type');
};

subtest 'a body that is refused for one line' => sub {
    my $n = refused(999, 1, 'whole', 'refused 1 points', 'parsing failed');
    cmp_ok($n, '>', 2, 'it was looked for');
};

for my $case (['later', 'busy'], ['missing', 'not found'],
    ['ok', 'not authenticated', 'wrong-token']) {
    my ($mode, $word, $token) = @$case;
    subtest "kept: $word" => sub {
        my $stored = $s->stored;
        $s->mode($mode);
        my $h = server($token);
        request($h, 100, 0);
        ok(wait_until(20, sub { grep { /IMX0020:.*$word/ } $h->error_log }),
            'the log says why');
        is(accounts_ok($h, 'meanwhile')->{points_pending}, 100, 'all wait');
        $s->mode('ok');
        $h->secret('token', "right-token\n");
        figures_are($h, { points_sent => 100, points_pending => 0,
            points_rejected => 0 }, 'then all are sent', seconds => 40);
        is($s->stored, $stored + 100, 'and stored');
        ok($h->stop, 'stops');
    };
}

# As it was measured: its words, and an answer at the next whole second.
for my $api (v1 => v2 => 'v3') {
    for my $mode ($api eq 'v3' ? qw(slow ten) : qw(six ten)) {
        subtest "InfluxDB 3, version $mode, API $api" => sub {
            my ($stored, $before) = ($s->stored, scalar $s->requests);
            $s->mode($mode);
            my $h = server(undef, $api eq 'v2'
                ? 'InfluxMetricsBucket org metrics'
                : "InfluxMetricsAPI $api\nInfluxMetricsDatabase metrics");
            request($h, 2080, 20);
            figures_are($h, { points_sent => 2080, points_rejected => 20,
                points_pending => 0, points_dropped => 0 },
                'only the bad ones are refused', seconds => 120);
            is($s->stored, $stored + 2080, 'and the others are there');
            ok($h->stop, 'stops');
        };
    }
}

# A name with a dot is refused by httpd -t for API v3.
for my $case (
    ['a sixth database', 'full', 'v3', 'metrics',
        qr/exceed limit of 5 databases/],
    ['a name with a dot', 'six', 'v1', 'my.metrics',
        qr/invalid character in database/],
) {
    my ($name, $mode, $api, $db, $words) = @$case;
    subtest "kept: $name" => sub {
        my $stored = $s->stored;
        $s->mode($mode);
        my $h = server(undef, "InfluxMetricsAPI $api\n"
            . "InfluxMetricsDatabase $db\nInfluxMetricsCreateDatabase Off");
        request($h, 100, 0);
        ok(wait_until(20, sub { grep {
            /IMX0020:.*$words.*; see InfluxMetricsDatabase/ } $h->error_log }),
            'the log says why, and where to look');
        is(accounts_ok($h, 'meanwhile')->{points_pending}, 100, 'all wait');
        $s->mode('open');
        figures_are($h, { points_sent => 100, points_pending => 0,
            points_rejected => 0 }, 'then all are sent', seconds => 40);
        is($s->stored, $stored + 100, 'and stored');
        ok($h->stop, 'stops');
    };
}

# 50,000 lines and 8 MB: an answer takes a second, whatever the size.
subtest 'how large a body is' => sub {
    my ($n, $before) = (12_000, scalar $s->requests);
    $s->mode('later');
    my $h = server(undef, "InfluxMetricsAPI v3\nInfluxMetricsTag padding "
        . 'x' x 250);
    request($h, $n, 0);
    figures_are($h, { points_pending => $n }, 'all wait', seconds => 40);
    $s->mode('open');
    figures_are($h, { points_sent => $n, points_pending => 0 },
        'then all are sent', seconds => 40);
    my @sent = grep { $_->{mode} eq 'open' } do {
        my @all = $s->requests;
        @all[$before .. $#all];
    };
    my ($largest) = sort { $b->{lines} <=> $a->{lines} } @sent;
    cmp_ok($largest->{lines}, '>', 10_000, 'more than 10,000 lines in a body');
    cmp_ok($largest->{headers}{'content-length'} // 0, '>', 4 << 20,
        '... and more than 4 MB');
    ok($h->stop, 'stops');
};

subtest 'a body that is too large, said with 500' => sub {
    my $stored = $s->stored;
    $s->mode('small');
    my $h = server();
    request($h, 600, 0);
    figures_are($h, { points_sent => 600, points_pending => 0,
        points_rejected => 0 }, 'all is sent, in smaller bodies',
        seconds => 60);
    is($s->stored, $stored + 600, 'and stored');
    ok((grep { /IMX0024:/ } $h->error_log), 'the log tells of it');
    ok($h->stop, 'stops');
};

finish();

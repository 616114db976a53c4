# The buffer fills while InfluxDB takes nothing: applications get 503 and come
# again, and nothing that was recorded is lost for them; requests go on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use Test::More;

my $standin = ImxStandin->new(busy => sub { return answer(503, 'busy') });
my $h = httpd(module => 1, influx => $standin->url, figures => 1, children => 2,
    threads => 4, conf => <<'CONF');
InfluxMetricsBufferSize 4M
<Location /influx>
SetHandler influx-metrics-write
</Location>
CONF

my $n = 0;

sub body {
    my ($lines) = @_;
    my $body = '';
    $body .= 'm,t=' . 'v' x 100 . " f=${\ $n++}i 1763961600\n" for 1 .. $lines;
    return $body;
}

sub post { return http('POST', $h->url('/influx/write?precision=s'),
    { content => $_[0] }) }

# A larger one than the buffer can ever take is not to be written again.
subtest 'more than the buffer can hold' => sub {
    $h->reconf(conf => $h->{conf} . "InfluxMetricsWriteLimit 8M 100000\n");
    $h->restart;
    my $r = post(body(50_000));
    is($r->{status}, 413, '6 MB into 4 MB: 413');
    like($r->{content}, qr/fit into the buffer/, 'and why');
    is(figures($h)->{points_recorded}, 0, 'nothing of it was taken');
};

$standin->mode('busy');
my ($taken, $r) = 0;
$n = 0;
# A small one fits when a large one does not any more.
for my $lines (1000, 100) {
    for (1 .. 60) {
        $r = post(body($lines));
        last if $r->{status} != 204;
        $taken += $lines;
    }
}
is($r->{status}, 503, 'the buffer is full: 503');
like($r->{headers}{'retry-after'} // '', qr/^[1-9]\d?$/, 'Retry-After');
like($r->{content}, qr/nothing of the body was taken/, 'and a sentence');
cmp_ok($taken, '>=', 15_000, "$taken points were taken");
my $s = figures($h);
is($s->{points_taken}, $taken, 'what was taken is counted');
is($s->{points_pending}, $taken, 'and waits');
is($s->{points_dropped}, 0, 'none is lost');
cmp_ok($s->{buffer_size} - $s->{buffer_used}, '>=', $s->{buffer_size} / 8 - 1,
    'an eighth is free');

# Requests still find room, and push nothing out for the next second or two.
# Without keep-alive: with as few threads, event closes idle connections early.
load(url => $h->url('/'), n => 1000, keepalive => 0);
$s = accounts_ok($h, 'with requests');
is($s->{points_recorded}, $taken + 1000, 'the points of requests come in');
is($s->{points_dropped}, 0, 'and none is lost');

# Many who try at once: none of them pushes anything out either.
my @pids = map {
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        my @statuses = map { post(body(500))->{status} } 1 .. 20;
        require POSIX;
        POSIX::_exit(scalar grep { $_ != 503 } @statuses);
    }
    $pid;
} 1 .. 6;
waitpid($_, 0), is($?, 0, 'each is refused') for @pids;
is(figures($h)->{points_dropped}, 0, 'none is lost by that');

$standin->mode('ok');
ok(wait_until(60, sub { $standin->stored == $taken + 1000 }),
    'InfluxDB is back: all are there') or diag $standin->stored;
figures_are($h, { points_sent => $taken + 1000, points_pending => 0,
    points_dropped => 0 }, 'all were sent');
is(post(body(1000))->{status}, 204, 'and applications can write again');
is(scalar(grep { /IMX0065.*503/ } $h->error_log), 0,
    'the log has told of a refused body in this minute');
is(scalar(grep { /IMX0065/ } $h->error_log), 1, 'once');
finish();

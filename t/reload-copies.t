# Graceful restarts at some 3,000 requests a second, into VictoriaMetrics, which
# stores a line twice that came twice: a child that leaves while only the answer
# to its body is missing waits for that, so none is there twice.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxForward;
use ImxTest;
use Test::More;

my $restarts = $ENV{IMX_TIMES} || 12;
my $rate = 3000;
my $clients = 8;

# VictoriaMetrics itself answers in a millisecond or two, so that a restart hardly
# ever meets a body; behind a way of 80 ms it nearly always does.
sub slowly {
    my ($engine) = @_;
    return ImxForward->new($engine, answer => sub {
        my ($number, $forward) = @_;
        my $status = $forward->();
        nap(0.08);
        return "HTTP/1.1 $status x\r\nContent-Length: 0\r\n\r\n";
    });
}

sub none_twice {
    my ($vm, $to) = @_;
    my $h = httpd(module => 1, influx => $to, children => 2, threads => 16,
        figures => 1, conf => <<'CONF');
InfluxMetricsCreateDatabase Off
InfluxMetricsInterval 100ms
InfluxMetricsGzip off
CONF
    my $load = client(port => $h->port, c => $clients,
        rate => $rate / $clients, seconds => $restarts + 2);
    for (1 .. $restarts) {
        my $before = $h->access_count;
        $h->graceful;
        # The new generation has served some.
        wait_until(10, sub { $h->access_count > $before + $rate / 4 });
    }
    my $r = $load->wait;
    ok(wait_until(20, sub { $h->access_count >= $r->{complete} }),
        "$r->{complete} requests, $restarts graceful restarts");
    my $n = $h->access_count;
    my $s = figures_are($h, { points_recorded => $n, points_sent => $n,
        points_pending => 0, points_dropped => 0, points_rejected => 0 },
        'all are acknowledged', seconds => 40);
    my $stored = 0;
    wait_until(20, sub {
        ($stored = () = $vm->samples('raw-requests_bytes_sent')) >= $n;
    });
    is($stored, $n, 'each is there, and none twice');
    is($s->{points_repeated}, 0, 'and the figure says so');
    ok($h->stop, 'stops');
    is_deeply([$h->complaints], [], 'the error log is clean');
}

for my $way ('at once', 'behind a slow way') {
    subtest "VictoriaMetrics, $way" => sub {
        my $vm = victoria();
        none_twice($vm, $way eq 'at once' ? $vm : slowly($vm));
    };
}

finish();

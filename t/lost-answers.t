# Every second answer is lost on its way: InfluxDB has the body then, and gets
# it again.  In InfluxDB 1, 2 and 3 each point is there once all the same, with
# its value; the figure points_repeated says how many lines may have gone twice.
# (Engines that do store them twice: engines.t.)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxLost;
use ImxStandin;
use ImxTest;
use Test::More;

my $conf = "InfluxMetricsTimeout 2s 10s\nInfluxMetricsGzip off\n";

# What arrived was more than what is stored, by what the figure says.
sub went_twice {
    my ($forward, $repeated) = @_;
    my $lines = 0;
    $lines += $_->{text} =~ tr/\n// for $forward->bodies;
    cmp_ok($repeated, '>=', 500, 'lines went twice, and a figure says so');
    is($lines, 2000 + $repeated, 'so many as were seen on the way');
}

subtest 'InfluxDB 1' => sub {
    my $db = influxd();
    $db->query('CREATE DATABASE httpd');
    my $forward = loses_answers($db);
    went_twice($forward, in_four_loads(numbered($forward, $conf)));
    numbers_are([map { $_->{n} } $db->query('SELECT n FROM "raw-requests"',
        'httpd')], 0, 'answers lost');
};

subtest 'InfluxDB 2' => sub {
    my ($program, $why) = influxd2_program();
    plan skip_all => "no InfluxDB 2: $why" if !$program;
    my $db = influxd2();
    $db->make_bucket('lost');
    spew(work_dir() . '/token', $db->token . "\n", 0644);
    my $forward = loses_answers($db);
    my $h = numbered($forward, $conf . <<"CONF");
InfluxMetricsBucket "$db->{org}" lost
InfluxMetricsTokenFile @{[work_dir()]}/token
CONF
    went_twice($forward, in_four_loads($h));
    numbers_are([map { $_->{n} } $db->query('SELECT n FROM "raw-requests"',
        'lost')], 0, 'answers lost');
};

# Same tags, same time: the same point, as in the real one.
subtest 'the stand-in for InfluxDB 3' => sub {
    my $s = ImxStandin->new(three => influxdb3());
    $s->mode('three');
    my $forward = loses_answers($s);
    my $repeated = in_four_loads(numbered($forward, $conf . <<'CONF'));
InfluxMetricsAPI v3
InfluxMetricsDatabase httpd
CONF
    went_twice($forward, $repeated);
    my (%points, %other);
    for my $line ($s->lines) {
        my ($key, $time) = $line =~ /^(\S+) .* (\d+)$/;
        my $old = $points{"$key $time"} //= $line;
        $other{$line} = $old if $old ne $line;
    }
    is_deeply(\%other, {}, 'what comes again is the same, byte for byte');
    numbers_are([map { /[ ,]n=(\d+)i/ } values %points], 0, 'answers lost');
};

finish();

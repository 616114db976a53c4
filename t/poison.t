# One line in 10,000 that InfluxDB does not take: 9,999 are stored, 1 is counted
# as refused and named in the log, and nothing behind it waits.  The line is
# poison for two reasons in turn: a field has another type in the database, and,
# put into the spool by hand as our encoder makes none, it cannot be parsed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my ($program, $why) = influxd2_program();
my $odd = 'odd.example.org';

# A server that writes all it has with one tick, and then the requests: 5,000,
# the one of the odd virtual host, 4,999.
sub server {
    my ($db, $name) = @_;
    my $conf = "InfluxMetricsInterval 3s\n";
    my $h = httpd(module => 1, influx => $db, figures => 1, start => 0,
        vhosts => [$odd => "InfluxMetricsMeasurement floats"]);
    if ($db->can('token')) {
        my $file = $h->secret('token', $db->token . "\n");
        $conf .= qq{InfluxMetricsBucket "$db->{org}" $name\n}
            . "InfluxMetricsTokenFile $file\n";
        $db->make_bucket($name);
    }
    else {
        $conf .= "InfluxMetricsDatabase $name\n";
        $db->query("CREATE DATABASE $name");
    }
    return $h->reconf(conf => $conf);
}

sub write_one {
    my ($db, $name, $line) = @_;
    my ($path, %o) = ("/write?db=$name", content => $line);
    if ($db->can('token')) {
        $path = "/api/v2/write?org=my%20org&bucket=$name";
        $o{headers} = { Authorization => 'Token ' . $db->token };
    }
    my $r = http('POST', $db->url($path), \%o);
    is($r->{status}, 204, 'a line by hand');
}

sub named {
    my ($h, $reason, $line) = @_;
    my @lines = grep { /IMX00(?!17|29|2[01])\d\d:/ } $h->error_log;
    is(scalar @lines, 1, 'one line in the log') or diag join "\n", @lines;
    like($lines[0] // '', qr/:error\].*IMX0022: .*refused 1 points/,
        'at a level that is on');
    like($lines[0] // '', qr/$reason/, 'why');
    like($lines[0] // '', qr/$line/, 'which');
}

sub type_conflict {
    my ($db, $name) = @_;
    my $h = server($db, $name)->start;
    write_one($db, $name, 'floats bytes_sent=1.5 ' . time . "000000000\n");
    load(url => $h->url, n => 5000, c => 8);
    get($h->url('/index.html', $odd));
    load(url => $h->url, n => 4999, c => 8);
    count_is($db, 9999, '9,999 are stored', database => $name, seconds => 60);
    figures_are($h, { points_recorded => 10000, points_sent => 9999,
        points_rejected => 1 }, 'and 1 refused', seconds => 30);
    named($h, 'field type conflict',
        'one of them: floats,.*server=odd\.example\.org');
    load(url => $h->url, n => 100, c => 2);
    count_is($db, 10099, 'what follows is not held up', database => $name);
    ok($h->stop, 'stops');
}

# 10,000 lines that another httpd left in its spool, one of them without fields.
sub malformed {
    my ($db, $name) = @_;
    my $h = server($db, $name);
    my $spool = $h->dir . '/spool';
    $h->reconf(conf => "$h->{conf}InfluxMetricsSpool $spool\n")->start;
    $h->stop;
    my $at = time;
    my $text = join '', map { "raw-requests,n=$_ bytes_sent=${_}i "
        . "$at$_\n" } 100000001 .. 100010000;
    $text =~ s/^raw-requests,n=100007500 .*$/raw-requests,n=the-bad-one/m
        or die 'no such line';
    my $file = $h->secret('file', $text);
    rename $file, "$spool/0000000000000000001-00000001-010000.lp" or die "rename: $!";
    $h->start;
    count_is($db, 9999, '9,999 are stored', database => $name, seconds => 60);
    figures_are($h, { points_spooled => 0, points_sent => 9999,
        points_rejected => 1 }, 'and 1 refused');
    named($h, 'unable to parse', 'raw-requests,n=the-bad-one');
    ok($h->stop, 'stops');
}

my %kind = (type_conflict => \&type_conflict, malformed => \&malformed);
my %server = ('InfluxDB 1' => influxd(),
    $program ? ('InfluxDB 2' => influxd2()) : ());
for my $version ('InfluxDB 1', 'InfluxDB 2') {
    for my $name (sort keys %kind) {
        SKIP: {
            skip "no InfluxDB 2: $why", 1 if !$server{$version};
            subtest "$version, $name" =>
                sub { $kind{$name}->($server{$version}, $name) };
        }
    }
}

finish();

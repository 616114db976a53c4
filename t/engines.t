# Other engines, the real ones: N requests are N points, with the values that
# were sent, also when every second answer is lost on its way (the engine has
# the body then, and gets it again).  docs/engines.md says what each does; what
# it says is tested here.
#
# IMX_ENGINES: names of those to try, which are built if need be: that is what
# `make test-engines` does.  Else those are tried that are there.  What cannot be
# had is skipped and says why.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxEngines;
use ImxLost;
use ImxTest;
use JSON::PP ();
use Test::More;

my @all = qw(questdb victoria-metrics vmagent telegraf kafka influxd1);
my %wanted = map { $_ => 1 } $ENV{IMX_ENGINES} ? split ' ', $ENV{IMX_ENGINES}
    : @all;

# Runs the part if its engines are there.
sub part {
    my ($name, $engines, $test) = @_;
    return if grep { !$wanted{$_} } @$engines;
    subtest $name => sub {
        for my $engine (@$engines) {
            my ($program, $why) = engine($engine);
            plan skip_all => $why if !$program;
        }
        $test->();
    };
}

# The blocks of code of a section of a page, with these addresses in the place of
# those of the page.  So what the page says is what is run.
sub page_of {
    my ($page, $section, %address) = @_;
    my ($text) = slurp(top() . "/docs/$page.md")
        =~ /^###? \Q$section\E\n(.*?)(?=^##|\z)/ms or die "no $section";
    my @blocks = map { s/^ {4}//mgr } $text =~ /((?:^ {4}.*\n|^\n(?= {4}))+)/mg;
    for my $name (keys %address) {
        my $n = grep { s/(?<![\w.])\Q$name\E(?!\w)/$address{$name}/g } @blocks;
        die "$name is not in $section" if !$n;
    }
    return @blocks;
}

sub page { return page_of('scaling', @_) }

my @mounts;
END { system "umount -l $_ 2>/dev/null" for @mounts }

my $no_gzip = "InfluxMetricsGzip off\n";
my $fast = "InfluxMetricsTimeout 2s 10s\n$no_gzip";

# The manual's table for repeated lines, with one column more.
my ($dedup) = slurp(top() . '/docs/engines.md')
    =~ /^ {4}(CREATE TABLE "raw-requests".*?)\n\n/ms;
$dedup = join ' ', split ' ', $dedup =~ s/bytes_sent LONG,/$& n LONG,/r;

sub questdb_numbers {
    my ($q) = @_;
    return map { $_->{n} } $q->query('SELECT n FROM "raw-requests"');
}

part('QuestDB', ['questdb'] => sub {
    my $q = questdb();
    my $h = numbered($q);
    requests($h, 1, 2000);
    ok(wait_until(30, sub { $q->count == 2000 }), '2,000 points')
        or diag $q->count;
    numbers_are([questdb_numbers($q)], 0, 'values');
    my ($row) = $q->query('SELECT min(bytes_sent) a, max(bytes_sent) b, '
        . 'count_distinct(server) c FROM "raw-requests"');
    is_deeply($row, { a => 12, b => 12, c => 1 }, 'and the other values');
    $h->stop;

    # A field of another type: the good ones are in, the others are refused.
    $q->query('CREATE TABLE other (timestamp TIMESTAMP, bytes_sent BOOLEAN) '
        . 'TIMESTAMP(timestamp) PARTITION BY DAY WAL');
    $h = numbered($q, "InfluxMetricsMeasurement other\n");
    requests($h, 1, 20);
    my $s = figures_are($h, { points_pending => 0 }, 'nothing is stuck',
        seconds => 30);
    is($s->{points_rejected}, 20, 'points of another type are refused')
        or diag $s->{last_error};
    like(join("\n", $h->error_log), qr/IMX0022: .*bytes_sent/,
        'and the log says so in its words');
    $h->stop;

    # In a body with others: those are stored, once.
    $h = httpd(module => 1, influx => $q->url, children => 1, threads => 8,
        figures => 1, conf => "InfluxMetricsCreateDatabase Off\n"
            . "InfluxMetricsMeasurement good\nInfluxMetricsInterval 2s\n",
        vhosts => ['odd.test' => "InfluxMetricsMeasurement other\n"]);
    load(url => $h->url, n => 100, c => 2);
    get($h->url('/', 'odd.test'));
    load(url => $h->url, n => 100, c => 2);
    figures_are($h, { points_sent => 200, points_rejected => 1,
        points_pending => 0 }, 'only that one is refused', seconds => 30);
    ok(wait_until(20, sub {
        my ($row) = eval { $q->query('SELECT count() n FROM good') };
        return $row && $row->{n} == 200;
    }), 'and the others are there, once');
    $h->stop;

    $q->query('DROP TABLE "raw-requests"');
    $q->query($dedup);
    $h = numbered(loses_answers($q), $fast);
    my $repeated = in_four_loads($h);
    ok(wait_until(30, sub { $q->count >= 2000 }), 'they are there');
    numbers_are([questdb_numbers($q)], 0, 'answers lost, a table with DEDUP');
    cmp_ok($repeated, '>=', 500, 'lines went twice, and a figure says so');
});

part('VictoriaMetrics' => ['victoria-metrics'], sub {
    my $v = victoria_new();
    my ($conf) = page('VictoriaMetrics',
        'http://victoria.example.org:8428' => $v->url);
    my $h = numbered($v, $conf);
    requests($h, 1, 2000);
    my @n;
    wait_until(30, sub { (@n = $v->samples('raw-requests_n')) >= 2000 });
    numbers_are([map { $_->{value} } @n], 0, 'values');
    $h->stop;

    $v = victoria_new();
    $h = numbered(loses_answers($v), $fast);
    my $repeated = in_four_loads($h);
    cmp_ok($repeated, '>=', 500, 'lines went twice, and a figure says so');
    wait_until(30,
        sub { (@n = $v->samples('raw-requests_n')) >= 2000 + $repeated });
    numbers_are([map { $_->{value} } @n], $repeated, 'answers lost');
});

part('vmagent before VictoriaMetrics', ['victoria-metrics', 'vmagent'] => sub {
    my $v = victoria_new();
    my $agent = vmagent(to => $v->url);
    my ($conf) = page('A queue before it: vmagent',
        'http://vmagent.example.org:8429' => $agent->url);
    my $h = numbered($agent, $conf);
    requests($h, 1, 2000);
    my @n;
    wait_until(60, sub { (@n = $v->samples('raw-requests_n')) >= 2000 });
    numbers_are([map { $_->{value} } @n], 0, 'values');
});

# A cluster's vminsert has its tenants in the path; vmagent understands the same.
part('the path of a cluster, by vmagent', ['victoria-metrics', 'vmagent'] => sub {
    my $v = victoria_new();
    my $agent = vmagent(to => $v->url, flags => ['-enableMultitenantHandlers']);
    my $to = $agent->url('/insert/7/influx');
    my ($conf) = page('A cluster of VictoriaMetrics',
        'http://vminsert.example.org:8480' => $agent->url);
    my $h = numbered($to, $conf);
    requests($h, 1, 1000);
    figures_are($h, { points_sent => 1000 }, 'API v1: all are taken');
    $h->stop;
    $h = numbered($to, 'InfluxMetricsBucket organization bucket');
    requests($h, 1001, 2000);
    figures_are($h, { points_sent => 1000 }, 'API v2: all are taken');
    my @n;
    wait_until(60, sub { (@n = $v->samples('raw-requests_n')) >= 2000 });
    numbers_are([map { $_->{value} } @n], 0, 'values');
    is(scalar(grep { ($_->{labels}{vm_account_id} // '') ne '7' } @n), 0,
        'all of the tenant');
});

# A path that nobody has is a mistake of the configuration's, not of the lines.
part('a path that VictoriaMetrics does not have', ['victoria-metrics'] => sub {
    my $v = victoria_new();
    my $h = numbered($v->url('/nowhere'));
    requests($h, 1, 100);
    ok(wait_until(20, sub { grep {
        /IMX0020: .*unsupported path.*; see InfluxMetricsServer/ }
        $h->error_log }), 'the log says so, and where to look')
        or diag $h->error_log;
    figures_are($h, { points_pending => 100, points_rejected => 0,
        points_dropped => 0 }, 'all are kept');
    $h->reconf(influx => $v->url);
    $h->graceful(gone => 1);
    my @n;
    ok(wait_until(60, sub { (@n = $v->samples('raw-requests_n')) >= 100 }),
        'and go to the right one');
});

# Lines of a file that Telegraf writes.
sub file_numbers {
    my ($file) = @_;
    return -e $file ? slurp($file) =~ /^raw-requests,.*?\bn=(\d+)i/mg : ();
}

# What docs/engines.md says of Telegraf, which listens at the port of $t.
sub telegraf_of_page {
    my ($t) = @_;
    return (page_of('engines', 'Telegraf', ':8186' => '127.0.0.1:' . $t->port))[1];
}

sub conf_of_page {
    my ($to) = @_;
    return (page_of('engines', 'Telegraf',
        'http://telegraf.example.org:8186' => $to->url))[0];
}

part('Telegraf', ['telegraf'] => sub {
    my $file = work_dir() . '/telegraf.out';
    my $rest = <<"CONF";
[agent]
flush_interval = "200ms"
omit_hostname = true
[[outputs.file]]
files = ["$file"]
data_format = "influx"
CONF
    my $t = telegraf(file => sub {
        my $conf = telegraf_of_page($_[0]);
        $conf =~ s/max_undelivered_metrics = \K\d+/300/ or die $conf;
        return $conf . $rest;
    });
    my $h = numbered($t, conf_of_page($t) . "InfluxMetricsMaxBody 4M 200\n");
    requests($h, 1, 2000);
    figures_are($h, { points_sent => 2000, points_rejected => 0,
        points_dropped => 0 }, 'all are taken, with its limit of 300',
        seconds => 60);
    my @n;
    wait_until(30, sub { (@n = file_numbers($file)) >= 2000 });
    numbers_are(\@n, 0, 'values');
    $h->stop;
    $t->stop;

    unlink $file;
    $t = telegraf(file => sub { telegraf_of_page($_[0]) . $rest });
    my $losing = loses_answers($t);
    $h = numbered($losing, conf_of_page($losing));
    my $repeated = in_four_loads($h);
    cmp_ok($repeated, '>=', 500, 'lines went twice, and a figure says so');
    wait_until(30, sub { (@n = file_numbers($file)) >= 2000 + $repeated });
    numbers_are(\@n, $repeated, 'answers lost');
});

part('Kafka between two Telegrafs, as docs/scaling.md has them',
    ['kafka', 'telegraf'] => sub {
    my $section = 'Telegraf, Kafka and InfluxDB';
    my ($k, $db) = (kafka(), influxd());
    $db->query('CREATE DATABASE httpd');
    my %there = ('kafka.example.org:9092' => $k->broker,
        'http://influx.example.org:8086' => $db->url);
    my $in = telegraf(file => sub { (page($section, %there,
        ':8186' => '127.0.0.1:' . $_[0]->port))[1] });
    my $out = telegraf(listens => 0, file => sub { (page($section, %there))[2] });
    my ($conf) = page($section, 'http://telegraf.example.org:8186' => $in->url);
    my $h = numbered($in, $conf);
    requests($h, 1, 2000);
    my @n;
    wait_until(90, sub {
        (@n = map { $_->{n} } $db->query('SELECT n FROM "raw-requests"')) >= 2000
    }) or diag slurp($in->log), slurp($out->log);
    numbers_are(\@n, 0, 'values');
});

# Telegraf looks at the packed size first.
part('Telegraf with gzip, and a small limit', ['telegraf'] => sub {
    my $file = work_dir() . '/small.out';
    my $t = telegraf(listener => 'max_body_size = "20KiB"', conf => <<"CONF");
[[outputs.file]]
files = ["$file"]
data_format = "influx"
CONF
    my $h = numbered($t, "InfluxMetricsBucket organization bucket\n"
        . "InfluxMetricsGzip on\nInfluxMetricsInterval 3s\n");
    requests($h, 1, 2000);
    figures_are($h, { points_sent => 2000, points_rejected => 0,
        points_dropped => 0 }, 'all are taken', seconds => 60);
    ok((grep { /IMX0024: a body of \d+ bytes is too large/ } $h->error_log),
        'in smaller bodies') or diag $h->error_log;
    my @n;
    wait_until(30, sub { (@n = file_numbers($file)) >= 2000 });
    numbers_are(\@n, 0, 'values');
});

# Copies of one millisecond are dropped, and so is what is no copy.
part('VictoriaMetrics with de-duplication', ['victoria-metrics'] => sub {
    my %samples;
    for my $flag ('', '-dedup.minScrapeInterval=1ms') {
        my $v = victoria_new(flags => [$flag || ()]);
        my @lines = ('m v=1 1700000000000000000', 'm v=2 1700000000000400000',
            ('m v=3 1700000000005000000') x 2);
        http('POST', $v->url('/write'), { content => "$_\n" }) for @lines;
        wait_until(20, sub { $v->samples('m_v') >= 2 });
        $samples{$flag} = join ' ', sort map { $_->{value} } $v->samples('m_v');
    }
    is($samples{''}, '1 2 3 3', 'without it all are there');
    is($samples{'-dedup.minScrapeInterval=1ms'}, '2 3',
        'with it one of each millisecond');
});

# A disk of its own, that a file fills.
part('InfluxDB 1 with a full disk', [] => sub {
    plan skip_all => 'only root can mount a small disk' if $>;
    my $db = influxd(start => 0);
    my $wal = "$db->{dir}/wal";
    mkdir $wal;
    system "mount -t tmpfs -o size=8m tmpfs $wal 2>/dev/null";
    plan skip_all => 'a small disk cannot be mounted' if $?;
    push @mounts, $wal;
    $db->start;
    $db->query('CREATE DATABASE httpd');
    my $h = numbered($db);
    requests($h, 1, 500);
    figures_are($h, { points_sent => 500 }, 'there is room');
    system "dd if=/dev/zero of=$wal/filler bs=64k 2>/dev/null";
    requests($h, 501, 2000);
    ok(wait_until(20, sub {
        grep { /IMX0020: .*no space left on device.*; see the disk of InfluxDB/ }
            $h->error_log
    }), 'the log says why it takes none, and what to do');
    unlink "$wal/filler";
    nap(5);         # the module asks every few seconds
    figures_are($h, { points_pending => 1500, points_dropped => 0,
        points_rejected => 0, last_status => 500 },
        'it answers 500 also when there is room again; all are kept');
    $db->restart;
    figures_are($h, { points_sent => 2000, points_pending => 0 },
        'and sent when it was restarted', seconds => 60);
    numbers_are([map { $_->{n} } $db->query('SELECT n FROM "raw-requests"')],
        0, 'values');
});

part('InfluxDB 1.13', ['influxd1'] => sub {
    my $db = influxd_new();
    $db->query('CREATE DATABASE httpd');
    my $h = numbered(loses_answers($db), $fast);
    my $repeated = in_four_loads($h);
    cmp_ok($repeated, '>=', 500, 'lines went twice, and a figure says so');
    numbers_are([map { $_->{n} } $db->query('SELECT n FROM "raw-requests"')],
        0, 'answers lost');
});

finish();

# What `httpd -t` cannot see keeps httpd from a start, but does not end a site
# that is restarted: it is served without points until the next restart.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();
# No tag is that long.
my $long = "<VirtualHost 127.0.0.1:1>\nServerName l" . 'o' x 8000
    . "ng\n</VirtualHost>";
my $more = "<Location /points>\nSetHandler influx-metrics-write\n</Location>\n"
    . "Header set X-Secret x\nInfluxMetricsUnsetHeader X-Secret\n";
my $served = 0;

sub serve {
    my ($h, $name) = @_;
    my $r = get($h->url);
    is($r->{status}, 200, "$name: the site is served");
    is($r->{headers}{'x-secret'}, undef, "$name: ... without a header for points");
}

sub goes_on {
    my ($h, $how, $reason, $name) = @_;
    my ($ok) = $h->configtest;
    ok($ok, "$name: httpd -t finds nothing");
    my @before = $h->error_log;
    ok(eval { $h->$how; 1 }, "$name: httpd survives $how") or die $@;
    my @news = ($h->error_log)[@before .. $h->error_log - 1];
    is(scalar(grep { /error.*$reason: / } @news), 1, "$name: the log says why");
    is(scalar(grep { /error.*IMX0099: httpd goes on/ } @news), 1,
        "$name: ... and what comes of it");
    serve($h, $name);
    my $page = get($h->url('/?text', 'figures'));
    is($page->{status}, 503, "$name: the page has no figures");
    like($page->{content}, qr/IMX0099/, "$name: ... and says where to look");
    http(@$_, { content => 'x' }) for ['POST', $h->url], ['HEAD', $h->url],
        ['GET', $h->url('/no-such')];
    is(http('POST', $h->url('/points/write'), { content => 'a b=1' })->{status},
        503, "$name: an application's points are to come later");
    is($h->alive, 1, "$name: it lives");
    is(scalar(grep { /exit signal/ } $h->error_log), 0,
        "$name: ... and so do its children");
}

sub is_mended {
    my ($h, $how, $database, $name) = @_;
    $h->$how;
    serve($h, $name);
    count_is($db, ++$served, "$name: points are recorded again",
        database => $database);
}

for my $mpm (qw(event prefork)) {
    my $conf = "${more}InfluxMetricsDatabase $mpm";
    my $h = httpd(module => 1, influx => $db, mpm => $mpm, figures => 1,
        children => 2, modules => ['headers'], conf => $conf);
    $db->query("CREATE DATABASE $mpm");
    serve($h, $mpm);
    count_is($db, $served = 1, "$mpm: a point", database => $mpm);
    for my $how (qw(graceful restart)) {
        my $name = "$mpm, $how";
        $h->reconf(conf => "$conf\n$long");
        goes_on($h, $how, 'IMX0014', $name);
        $h->reconf(conf => $conf);
        is_mended($h, $how, $mpm, "$name, mended");
    }
    $h->reconf(conf => "$conf\n$long");
    $h->stop;
    ok(!eval { $h->start; 1 }, "$mpm: it does not start so");
}

# No memory for the values of tags: a limit on addresses, for the parent.
SKIP: {
    skip 'prlimit is not installed', 1 unless which_one('prlimit');
    skip 'a sanitizer takes all addresses', 1 if $ENV{IMX_PRELOAD};
    my $h = httpd(module => 1, influx => $db, mpm => 'prefork', figures => 1,
        children => 2, modules => ['headers'],
        conf => "${more}InfluxMetricsDatabase memory");
    $db->query('CREATE DATABASE memory');
    serve($h, 'memory');
    count_is($db, $served = 1, 'memory: a point', database => 'memory');
    my ($kb) = slurp('/proc/' . $h->pid . '/status') =~ /^VmSize:\s+(\d+)/m;
    my $most = ($kb + 8 * 1024) * 1024;
    $h->reconf(conf => "${more}InfluxMetricsDatabase memory\n"
        . 'InfluxMetricsTagLimit 100000');
    system('prlimit', "--as=$most:", '--pid', $h->pid);
    goes_on($h, 'graceful', 'IMX0071', 'memory');
    system('prlimit', '--as=unlimited:', '--pid', $h->pid);
    is_mended($h, 'graceful', 'memory', 'memory, mended');
}

finish();

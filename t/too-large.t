# Bodies that are too large: for InfluxDB itself, and for a proxy, which answers
# with a page before it has read the body.  They are halved, the limit is
# remembered, nothing is lost; and a single line that is too large is the only
# one that is.  Where every line is, no line is to blame.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $limit = 20_000;
my $db = influxd(max_body => $limit);

sub proxy_conf {
    my ($most) = @_;
    return join "\n", 'RewriteEngine on',
        qq{RewriteCond expr "%{HTTP:Content-Length} -gt $most"},
        'RewriteRule ^ - [R=413,L]', 'ProxyPass / ' . $db->url('/');
}

my $proxy = httpd(modules => [qw(proxy proxy_http rewrite)],
    conf => 'ProxyPass / ' . $db->url('/'));

# What passes the proxy with its answer: our own 413, or InfluxDB's.
sub refused { scalar grep { $_->{status} == 413 } $proxy->access_log }

# Without gzip: InfluxDB 1.6 does not look at the size of what is compressed.
for my $who (qw(InfluxDB proxy)) {
    subtest $who => sub {
        if ($who eq 'proxy') {
            $proxy->reconf(conf => proxy_conf($limit));
            $proxy->graceful(gone => 1);
        }
        my $name = lc $who;
        my $before = refused();
        my $h = httpd(module => 1, influx => $proxy, figures => 1, conf =>
            "InfluxMetricsDatabase $name\n"
            . 'InfluxMetricsInterval 2s');
        load(url => $h->url, n => 6000, c => 8);
        count_is($db, 6000, 'every point arrives', database => $name,
            seconds => 60);
        figures_are($h, { points_sent => 6000, points_pending => 0,
            points_rejected => 0, points_dropped => 0 }, 'accounts');
        my $asked = refused();
        cmp_ok($asked, '>', $before, 'the proxy did refuse');
        cmp_ok($asked - $before, "<", 12, 'but not each body');
        load(url => $h->url, n => 3000, c => 8);
        count_is($db, 9000, 'and those that follow', database => $name,
            seconds => 60);
        is(refused(), $asked, 'no body is too large now');
        my @lines = grep { /IMX00(?!17|29|25)\d\d:/ } $h->error_log;
        is(scalar @lines, 1, 'one line in the log') or diag join "\n", @lines;
        my ($from, $to) = ($lines[0] // '') =~
            /:notice\].*IMX0024: a body of (\d+) bytes .* at most (\d+) bytes/;
        cmp_ok($from // 0, '>', $to // 0, 'with both sizes');
        cmp_ok($to // 0, '<=', $limit, 'the new one fits');
        ok($h->stop, 'stops');
    };
}

# The proxy takes less than one usual line, so nothing at all: the proxy is set
# up wrongly, and the points are kept until it is not.
subtest 'every body is too large' => sub {
    $proxy->reconf(conf => proxy_conf(60));
    $proxy->graceful(gone => 1);
    $db->query('CREATE DATABASE tiny');
    my $h = httpd(module => 1, influx => $proxy, figures => 1,
        conf => 'InfluxMetricsDatabase tiny');
    load(url => $h->url, n => 10, c => 1);
    ok(wait_until(20, sub {
        grep { /IMX0020:.*kept until it does: .*413/ } $h->error_log;
    }), 'that is told') or diag $h->error_log;
    figures_are($h, { points_rejected => 0, points_pending => 10,
        points_sent => 0 }, 'they are kept');
    is(scalar(grep { /IMX0024:/ } $h->error_log), 0, 'no size is blamed');
    $proxy->reconf(conf => 'ProxyPass / ' . $db->url('/'));
    $proxy->graceful(gone => 1);
    load(url => $h->url, n => 10, c => 1);
    count_is($db, 20, 'all are taken afterwards', database => 'tiny',
        seconds => 60);
    is(scalar(grep { /IMX0022:/ } $h->error_log), 0, 'no line is blamed');
    accounts_ok($h, 'after that');
};

# The proxy takes usual lines, and not one with a long path.
subtest 'one line is too large' => sub {
    $proxy->reconf(conf => proxy_conf(700));
    $proxy->graceful(gone => 1);
    $db->query('CREATE DATABASE long');
    my $h = httpd(module => 1, influx => $proxy, figures => 1,
        conf => "InfluxMetricsDatabase long\nInfluxMetricsFields +uri");
    load(url => $h->url, n => 10, c => 1);
    load(url => $h->url('/' . 'x' x 900), n => 1, c => 1);
    load(url => $h->url, n => 10, c => 1);
    count_is($db, 20, 'the others are taken', database => 'long',
        seconds => 60);
    figures_are($h, { points_rejected => 1, points_pending => 0,
        points_sent => 20 }, 'it is refused');
    my @lines = grep { /IMX0022:/ } $h->error_log;
    is(scalar @lines, 1, 'and that is told once');
    like($lines[0] // '', qr/413.*one of them: raw-requests,/, 'with a name');
    accounts_ok($h, 'after that');
};

finish();

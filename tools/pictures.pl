#!/usr/bin/perl
# pictures.pl: the pictures of the status page and of influx-metrics-top in
# docs/pictures, made by a headless Chromium of a real httpd and a real InfluxDB: ten minutes of a shop
# that has its day, a graceful restart and a rush in it; then InfluxDB is
# stopped. Nothing in them is drawn by hand.
#
# IMX_PICTURE_SECONDS: how long the load goes on before (600).
# IMX_PICTURES=top: only those of influx-metrics-top.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Encode ();
use File::Path qw(make_path);
use ImxBrowser;
use ImxTerminal;
use ImxTest;
use Time::HiRes qw(time);

my $SECONDS = $ENV{IMX_PICTURE_SECONDS} // 600;
my $ONLY_TOP = ($ENV{IMX_PICTURES} // '') eq 'top';
my $STEP = 10;                          # seconds of one rate
my $TO = top() . '/docs/pictures';

# Requests a second of each connection, and how many connections: at a share of
# the time. In the rush the shop has more visitors than its application can take.
my ($RUSH, $CALM) = (0.68, 0.80);
sub is_rush { return $_[0] > $RUSH && $_[0] < $CALM }
sub wave { return 0.7 + 0.3 * sin 9 * $_[0] }

my @kinds = (
    ['www.example.org', '/', sub { (70 * wave($_[0]) * (is_rush($_[0]) ? 1.5 : 1), 2) }],
    ['www.example.org', '/none', sub { (1, 1) }],
    ['static.example.org', '/logo.svg', sub { (50 * wave(1 - $_[0]), 1) }],
    ['shop.example.org', '/', sub { (9 * wave($_[0]), is_rush($_[0]) ? 44 : 3) }],
    ['shop.example.org', '/checkout', sub { (is_rush($_[0]) ? 2 : 0.2, 1) }],
    ['api.example.org', '/v1/items', sub { (6 * wave($_[0]), 2) }],
    ['api.example.org', '/v1/report', sub { (0.2, 1) }],
);

my $app = <<'PY';
import os, random, time

RUSH = os.path.join(os.path.dirname(__file__), 'rush')


def application(environ, start_response):
    path = environ['PATH_INFO']
    wait, status = random.lognormvariate(-4.0, 0.45), '200 OK'
    if path == '/checkout':
        wait = 2.0
    elif path == '/v1/report':
        wait = random.uniform(2, 9)
    elif path == '/v1/items':
        wait *= 4
        if random.random() < 0.04:
            status = '503 Service Unavailable'
    if path == '/' and os.path.exists(RUSH):
        wait *= 16
    time.sleep(wait)
    body = b'so it is'
    start_response(status, [('Content-Type', 'text/plain'),
                            ('Content-Length', str(len(body)))])
    return [body]
PY

sub servers {
    my $wsgi = sub { 'WSGIScriptAlias / ' . $_[0]->dir . '/app.wsgi' };
    my $db = influxd();
    my $h = httpd(module => 1, influx => $db, children => 3, threads => 12,
        modules => ['wsgi', 'status'], figures => 1, start => 0,
        report => 'requests',
        conf => <<'CONF', vhosts => ['shop.example.org' => $wsgi,
ExtendedStatus On
InfluxMetricsObjective 500ms 95
WSGIDaemonProcess shop processes=1 threads=60
WSGIProcessGroup shop
WSGIApplicationGroup %{GLOBAL}
CONF
            'www.example.org' => '', 'api.example.org' => $wsgi,
            'static.example.org' => '']);
    $h->put('app.wsgi', $app);
    $h->put('htdocs/logo.svg', '<svg xmlns="http://www.w3.org/2000/svg"/>');
    return ($db, $h->start);
}

# A process for each kind of request, which goes on by itself for so many
# seconds. Their pids.
sub load_for {
    my ($h, $seconds, $share) = @_;
    my $end = time + $seconds;
    return map {
        my ($vhost, $path, $rate) = @$_;
        my $pid = fork // die "fork: $!";
        if ($pid == 0) {
            while (time < $end) {
                my ($each, $connections) = $rate->($share->());
                client(port => $h->port($vhost), path => $path, rate => $each,
                    c => $connections, seconds => $STEP, close => $each < 1)->wait;
            }
            POSIX::_exit(0);
        }
        $pid;
    } @kinds;
}

# The browser's start keeps both processors busy: the page would say so.
sub calm {
    return (slurp('/proc/pressure/cpu') =~ /^some avg10=([\d.]+)/m)[0] < 20;
}

sub take {
    my ($browser, $h, $name) = @_;
    for my $width (1280, 390) {
        for my $dark (0, 1) {
            my $page = $browser->page(width => $width, dark => $dark);
            $page->go($h->url('/', 'figures'));
            $page->until(20, q{document.querySelectorAll('.plot canvas').length === 4})
                or die 'no charts';
            nap(3);
            wait_until(60, \&calm) or warn "something else runs here\n";
            my $file = "$TO/page-$name-$width-" . ($dark ? 'dark' : 'light') . '.png';
            $page->picture($file);
            print "$file\n";
            $page->close;
        }
    }
}

# ---- influx-metrics-top ----

my %colour = (default => '#d8dee6', green => '#7fd88f', red => '#ff8b85',
    brown => '#e6c768', cyan => '#7cc7e8');
my $BACK = '#14181d';

# What the terminal shows, as a document: a run of letters of one style a span.
sub document_of {
    my ($t) = @_;
    my @styles = $t->styles;
    my $text = '';
    for my $line ($t->lines) {
        my ($styles, $last) = (shift @styles, '');
        for my $letter (split //, $line) {
            my ($fg, $bold, $under, $reverse) = @{ shift @$styles };
            my @of = ($colour{$fg} // $colour{default}, $BACK);
            @of = reverse @of if $reverse;
            my $style = "color:$of[0];background:$of[1]"
                . ($bold ? ';font-weight:bold' : '')
                . ($under ? ';text-decoration:underline' : '');
            $text .= ($last eq '' ? '' : '</span>') . "<span style=\"$style\">"
                if $style ne $last;
            $last = $style;
            $text .= $letter =~ /[<>&]/ ? '&#' . ord($letter) . ';' : $letter;
        }
        $text .= "</span>\n";
    }
    return "<!DOCTYPE html><meta charset=\"utf-8\"><body style=\"margin:0;"
        . "background:$BACK\"><pre style=\"display:inline-block;margin:0;"
        . "padding:12px;font:15px/1.25 'DejaVu Sans Mono'\">$text</pre>";
}

sub take_top {
    my ($browser, $h, $name) = @_;
    my $t = ImxTerminal->new(columns => 100, rows => 30,
        arguments => [$h->url('/', 'figures')]);
    $t->until(20, qr/^q end/m) or die 'no view';
    nap(3);
    my $file = work_dir() . '/top.html';
    spew($file, Encode::encode('UTF-8', document_of($t)));
    $t->keys('q');
    my $page = $browser->page(width => 940, height => 100);
    $page->go("file://$file");
    my $width = $page->eval('document.querySelector("pre").offsetWidth');
    $page->settings(width => $width);
    $page->picture("$TO/top-$name.png");
    print "$TO/top-$name.png\n";
    $page->close;
}

$| = 1;
make_path($TO);
my ($db, $h) = servers();
my $begin = time;
my @load = load_for($h, $SECONDS + 150, sub { (time - $begin) / $SECONDS });
nap($SECONDS * 0.4);
$h->graceful;
nap($begin + $SECONDS * $RUSH - time);
$h->put('rush', '');
nap($begin + $SECONDS * $CALM - time);
unlink $h->dir . '/rush';
nap($begin + $SECONDS - time);
my $browser = ImxBrowser->new;
take_top($browser, $h, 'well');
take($browser, $h, 'well') if !$ONLY_TOP;
$db->stop;
nap(40);
take_top($browser, $h, 'outage');
take($browser, $h, 'outage') if !$ONLY_TOP;
kill TERM => @load;
waitpid $_, 0 for @load;

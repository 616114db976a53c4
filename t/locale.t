# A script in httpd's own process sets a locale in which numbers have a comma
# (embedded mod_wsgi, mod_perl and mod_lua let it): everything that this module
# writes there still has a point, and what it reads, too.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use JSON::PP qw(decode_json);
use Test::More;

my $localedef = which_one('localedef', '/usr/bin/localedef')
    or plan skip_all => 'there is no localedef';
my $locales = work_dir() . '/locales';
mkdir $locales or die "$locales: $!";
system "$localedef -i de_DE -f UTF-8 $locales/comma >$locales/log 2>&1";
plan skip_all => 'there are no locales to make one of: ' . slurp("$locales/log")
    if !-d "$locales/comma";

my $python = <<'PYTHON';
import locale

def application(environ, start_response):
    locale.setlocale(locale.LC_ALL, 'comma')
    start_response('503 No' if environ['QUERY_STRING'] else '200 OK',
        [('Content-Type', 'text/plain'), ('X-Weight', '2.5')])
    return [('%s' % locale.localeconv()['decimal_point']).encode()]
PYTHON

my $db = influxd();
my $h = do {
    local $ENV{LOCPATH} = $locales;
    my $server = httpd(module => 1, influx => $db, figures => 1, children => 1,
        modules => ['wsgi', 'status'], report => 'requests=1s', start => 0);
    $server->put('app.wsgi', $python);
    $server->reconf(conf => "WSGIScriptAlias /app " . $server->dir . "/app.wsgi\n"
        . "InfluxMetricsField weight float %{resp:X-Weight}\n"
        . "InfluxMetricsObjective 500ms 99.9%\n"
        . "<Location /server-status>\nSetHandler server-status\n</Location>");
    $server->start;
};

sub page {
    my ($query, %headers) = @_;
    return http('GET', $h->url($query, 'figures'), { headers => \%headers });
}
sub json { return eval { decode_json(page($_[0])->{content}) } }

is(get($h->url('/app'))->{content}, ',', 'the child\'s numbers have a comma');

# ---- JSON ----

my $answer;
ok(wait_until(20, sub {
    get($h->url('/app')) for 1 .. 5;
    $answer = json('/?json');
    return $answer && $answer->{total}{p99};
}), '?json is JSON') or diag substr page('/?json')->{content}, 0, 2000;
like($answer->{total}{p99}, qr/^0\.0*[1-9]|^\d\.\d*e-\d+$/, '... with a fraction');
for my $query ('/?json&history', '/?json&since=0') {
    my ($text, $some);
    ok(wait_until(20, sub {     # until a second with requests is closed
        $text = page($query)->{content};
        my $found = eval { decode_json($text) } or return 0;
        ($some) = grep { $_ }
            @{ ($found->{minutes10} // $found->{seconds})->{p99} };
        return $some;
    }), "$query is JSON") or diag substr $text, 0, 500;
    like($some // 'none', qr/^\d*\.\d|e-/, '... with a fraction');
}

# ---- what Prometheus reads ----

my $text = page('/?openmetrics')->{content};
my @bounds = $text =~ /_bucket\{.*le="([^"]*)"/g;
cmp_ok(scalar @bounds, '>', 10, '?openmetrics has bounds');
is_deeply([grep { !/^(?:\d+\.\d+|\d(?:\.\d+)?e-\d+|\+Inf)$/ } @bounds], [],
    '... each a number');
like(page('/?openmetrics', Accept =>
    'application/openmetrics-text;q=0.5,text/plain;q=0.4')->{headers}{'content-type'},
    qr{^application/openmetrics-text}, '... and what the client likes more is read');

# ---- for people ----

for my $query ('/', '/?html') {
    my $content = page($query)->{content} =~ s{<script>.*?</script>}{}gsr;
    like($content, qr/\d\.\d+ (?:µs|ms|s|[KMG]B)\b|\d\.\d+ \S+s/, "$query: a fraction");
    is_deeply([$content =~ /(\d,\d{1,2} (?:\S{1,3}s|s|[KMG]B)\b)/g], [],
        '... and none with a comma');
}
is_deeply([get($h->url('/server-status?auto'))->{content}
    =~ /^(Influx.*P\d\d: \d+,.*)/mg], [], 'nor in mod_status');

# Requests that miss their objective: what is said of it has fractions, too.
my $words;
ok(wait_until(30, sub {
    get($h->url('/app?bad')) for 1 .. 5;
    ($words) = map { $_->{what} } grep { $_->{what} =~ /misses its objective/ }
        @{ (json('/?json') // {})->{words} };
    return $words;
}), 'an objective is missed');
like($words // '', qr/, 99\.9 % good requests within 500 ms: the burn rate is \d+\.\d in /,
    '... by so much');

# ---- points ----

ok(wait_until(20, sub { $db->count('request-metrics', 'httpd', 'request_time') }),
    'intervals are stored');
my ($row) = $db->query('SELECT weight, request_time FROM "raw-requests" LIMIT 1');
is($row->{weight}, 2.5, 'a number of the application\'s');
like($row->{request_time}, qr/^0?\.\d|e-/, 'a time');

# ---- the log ----

$db->stop;
get($h->url('/app'));
ok(wait_until(30, sub { grep { /IMX0020/ } $h->error_log }), 'InfluxDB is away');
$db->start;
my $again;
ok(wait_until(40, sub { ($again) = grep { /IMX0021/ } $h->error_log }),
    '... and back');
like($again // '', qr/again after \d+\.\d s:/, 'for so many seconds, in the log');
is(get($h->url('/app'))->{content}, ',', 'all that in the other locale');
finish();

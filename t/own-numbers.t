# An application adds numbers to its own points: by a header of its response,
# which the client does not get, by a note, by a variable; whatever it is written
# in, however it is asked, and whatever it answers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxApp;
use ImxPoints;
use ImxTest;
use Test::More;

my $db = influxd();
my $curl = which_one('curl') or die 'no curl';

my $cgi = <<'CGI';
#!/usr/bin/perl
my $body = do { local $/; <STDIN> };    # mod_cgid loses answers else
my ($status) = $ENV{QUERY_STRING} =~ /(\d+)/;
print "Status: $status x\r\nContent-Type: text/plain\r\nX-Items: 7\r\n",
    "x-tenant: acme\r\nX-Stays: 1\r\n",
    $status == 302 ? "Location: http://a.test/\r\n" : '', "\r\n",
    $status == 304 ? '' : "app\n";
CGI

my $wsgi = <<'PYTHON';
def application(environ, start_response):
    status = environ['QUERY_STRING'][:3]
    headers = [('Content-Type', 'text/plain'), ('X-Items', '7'),
               ('x-tenant', 'acme'), ('X-Stays', '1')]
    if status == '302':
        headers.append(('Location', 'http://a.test/'))
    start_response(status + ' x', headers)
    return [] if status == '304' else [b'app\n']
PYTHON

my $lua = <<'LUA';
require 'apache2'
function note(r)
    r.notes['db-time'] = '0.25'
    r.subprocess_env['region'] = 'eu'
    return apache2.DECLINED
end
LUA

my ($h, $name) = server($db, children => 2, start => 0, modules => [qw(alias
    cgid http2 lua proxy proxy_http wsgi)],
    vhosts => ['behind.test' => sub { "InfluxMetrics Off\n"
        . "WSGIScriptAlias / $_[0]{dir}/app.wsgi" }], conf => sub { <<"CONF" });
Protocols h2c http/1.1
ScriptAlias /cgi $_[0]{dir}/htdocs/app.cgi
WSGIScriptAlias /wsgi $_[0]{dir}/app.wsgi
WSGIScriptAlias /daemon $_[0]{dir}/app.wsgi
WSGIApplicationGroup %{GLOBAL}
WSGIDaemonProcess own processes=1 threads=4
<Location /daemon>
WSGIProcessGroup own
</Location>
ProxyPass /proxy http://127.0.0.1:@{[ $_[0]->port('behind.test') ]}/
<Location /off>
InfluxMetrics Off
</Location>
WSGIScriptAlias /off $_[0]{dir}/app.wsgi
LuaHookFixups $_[0]{dir}/note.lua note
InfluxMetricsFields +uri +query
InfluxMetricsField items int "%{resp:X-Items}"
InfluxMetricsField stays int "%{resp:X-Stays}"
InfluxMetricsField db_time float "%{note:db-time}"
InfluxMetricsField region string "%{reqenv:region}"
InfluxMetricsTag tenant "%{resp:X-Tenant}"
InfluxMetricsUnsetHeader x-items X-Tenant
CONF
$h->put('htdocs/app.cgi', $cgi, 0755);
$h->put('app.wsgi', $wsgi);
$h->put('note.lua', $lua);
$h->start;

# The header of the answer.
sub head_of {
    my ($path, @flags) = @_;
    open my $p, '-|', $curl, qw(-sS -o /dev/null -D -), @flags, $h->url($path)
        or die "curl: $!";
    return do { local $/; <$p> };
}

my %ways = (GET => ['--http1.1'], HEAD => ['--http1.1', '-I'],
    POST => ['--http1.1', '-dx=1'], 'HTTP/2' => ['--http2-prior-knowledge']);
my $n = 0;
for my $kind (qw(cgi wsgi daemon proxy)) {
    for my $way (sort keys %ways) {
        for my $status (200, 302, 304, 404, 500) {
            # httpd leaves these headers out of a 304 itself.
            next if $status == 304 && $kind !~ /wsgi|daemon/;
            my $head = head_of("/$kind?$status&" . $n++, @{ $ways{$way} });
            like($head, qr/^HTTP\S+ $status\b/, "$kind $way $status: answered");
            unlike($head, qr/^x-(?:items|tenant)\b/mi, '... without headers '
                . 'for the point');
            next if $status == 304;
            like($head, qr/^x-stays: 1\r?$/mi, '... with the others');
        }
    }
}
my @points = points($db, $name, $n);
for my $case ([items => 7], [stays => 1], [tenant => 'acme'],
    [db_time => 0.25], [region => 'eu']) {
    my ($key, $want) = @$case;
    my @wrong = grep { ($_->{$key} // '') ne $want } @points;
    is(scalar @wrong, 0, "each point has $key") or diag join ', ',
        map { "$_->{uri}?$_->{query} $_->{method}" } @wrong;
}
like(head_of('/off?200'), qr/^x-items: 7\r?$/mi,
    'where nothing is recorded, nothing is taken away');

# The second answer comes from mod_cache, which has the header.
subtest 'an answer from the cache' => sub {
    my ($c, $name) = server($db, start => 0, modules => [qw(cache cache_disk
        headers)], conf => sub { <<"CONF" });
CacheRoot $_[0]{dir}/cache
CacheEnable disk /
Header set X-Items 7
Header set X-Stays 1
Header set Cache-Control max-age=1000
InfluxMetricsField items int "%{resp:X-Items}"
InfluxMetricsUnsetHeader X-Items
CONF
    mkdir $c->dir . '/cache';
    chmod 0777, $c->dir . '/cache';
    $c->start;
    get($c->url);
    my ($asked, $head) = 1;
    ok(wait_until(10, sub {
        $asked++;
        $head = get($c->url)->{headers};
        defined $head->{age};
    }), 'there is one');
    is_deeply([@$head{qw(x-items x-stays)}], [undef, 1], 'without the header');
    my @points = points($db, $name, $asked);
    is(scalar(grep { ($_->{items} // 0) != 7 } @points), 0, 'points have it');
};

# A name loses a value: the log tells which one, once, and never the value.
subtest 'values that are left out' => sub {
    my ($c, $name) = server($db, figures => 1, modules => ['setenvif'],
        conf => <<'CONF');
SetEnvIf X-Number "(.*)" number=$1
InfluxMetricsField whole int "%{reqenv:number}"
InfluxMetricsField half float "%{reqenv:number}"
InfluxMetricsField yes bool "%{reqenv:number}"
InfluxMetricsField text string "%{reqenv:number}"
InfluxMetricsField nothing int "%{reqenv:none}"
CONF
    my %names = (whole => 'whole number', half => 'number', yes => 'bool');
    http('GET', $c->url, { headers => { 'X-Number' => 'secret words' } })
        for 1 .. 5;
    my @points = points($db, $name, 5);
    is(scalar(grep { $_->{text} eq 'secret words' && !defined $_->{whole} }
        @points), 5, 'the points are there without them');
    my @said = grep { /IMX0090/ } $c->error_log;
    is(scalar @said, 3, 'three messages') or diag @said;
    for my $field (sort keys %names) {
        is(scalar(grep { /field $field is missing .* is no $names{$field}/ }
            @said), 1, "$field is named once");
    }
    is(scalar(grep { /secret/ } $c->error_log), 0, 'not the value');
    is(figures($c)->{values_left_out}, 15, 'each is counted');
};

finish();

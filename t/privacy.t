# Nothing of a client in a point unless it is asked for by name: canaries in all
# that a client sends are looked for in everything that InfluxDB has, in the
# spool, in the log and on the status page.
use strict;
use warnings;
use Digest::SHA qw(sha1);
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use MIME::Base64 qw(encode_base64);
use Test::More;

my $db = influxd();
my @modules = qw(authn_core authn_file auth_basic authz_user proxy proxy_http
    rewrite unique_id headers);
my $shown = "<Location /status>\nSetHandler influx-metrics\n</Location>\n";

my @canaries = map { "canary-$_" } qw(path query cookie agent referer host user
    password forwarded accept body custom trace method fragment protocol);

# Each place that a client can write to, each with its own canary.
sub requests {
    my $who = encode_base64('canary-user:canary-password', '');
    my $head = "Cookie: s=canary-cookie\r\nUser-Agent: canary-agent\r\n"
        . "Referer: http://canary-referer/\r\nX-Custom: canary-custom\r\n"
        . "X-Forwarded-For: canary-forwarded\r\nAccept: canary-accept\r\n"
        . "traceparent: 00-canary-trace\r\nAuthorization: Basic $who\r\n"
        . "Connection: close\r\n";
    my @lines = map { "$_\r\nHost: canary-host\r\n$head" }
        'GET /canary-path?canary-query HTTP/1.1',
        'GET /auth/canary-path?canary-query HTTP/1.1',
        'GET /proxy/canary-path?canary-query HTTP/1.1',
        'GET /old/canary-path?canary-query HTTP/1.1',
        'GET http://canary-host/canary-path#canary-fragment HTTP/1.1',
        'CANARY-METHOD /canary-path HTTP/1.1',
        'canary-method /canary-path HTTP/1.1',
        'GET /canary-path HTTP/1.1/canary-protocol',
        'GET /%zzcanary-path HTTP/1.1', 'TRACE /canary-path HTTP/1.1',
        'GET /' . 'canary-path' x 1000 . ' HTTP/1.1';
    return ((map { "$_\r\n" } @lines), "POST /canary-path HTTP/1.1\r\n"
        . "Host: canary-host\r\n${head}Content-Length: 11\r\n\r\ncanary-body",
        "canary-method\r\n\r\n", "GET /canary-path HTTP/1.1\r\n"
        . "canary-custom\r\n\r\n");
}

# All that InfluxDB has: names, keys, values, of all databases.
sub everything {
    my @rows = $db->query('SHOW DATABASES');
    for my $name (map { $_->{name} } @rows) {
        push @rows, $db->query($_, $name) for 'SELECT * FROM /.*/',
            'SHOW SERIES', 'SHOW FIELD KEYS', 'SHOW TAG KEYS';
    }
    return join "\n", map { my $r = $_; map { "$_=" . ($r->{$_} // '') }
        sort keys %$r } @rows;
}

sub server {
    my ($name, $more, %o) = @_;
    my $h = httpd(module => 1, influx => $db, children => 1, threads => 8,
        modules => \@modules, start => 0, %o, conf => sub {
            my ($h) = @_;
            my $dir = $h->dir;
            return <<"CONF";
InfluxMetricsDatabase $name
$more
$shown
<Location /auth>
AuthType Basic
AuthName x
AuthUserFile $dir/users
Require valid-user
</Location>
ProxyPass /proxy http://127.0.0.1:@{[ $h->port ]}/target
RewriteEngine On
RewriteRule ^/old(.*) /new\$1
ErrorDocument 404 /error.html
CONF
        });
    $h->put('users', "canary-user:{SHA}" . encode_base64(sha1('canary-password'), '') . "\n", 0644);
    $h->put('htdocs/auth/canary-path', 'x');
    $h->put('htdocs/error.html', 'x');
    return $h->start;
}

sub found {
    my ($text) = @_;
    return [grep { $text =~ /\Q$_\E/i } @canaries];
}

subtest 'by default' => sub {
    my $h = server(default => '');
    raw($h->port, $_) for requests();
    like(raw($h->port, (requests())[1]), qr/^HTTP\S+ 200/,
        'the user is let in');
    count_is($db, $h, 'each is a point', database => 'default');
    my $all = everything();
    cmp_ok(length $all, '>', 2000, 'there is something to look at');
    is_deeply(found($all), [], 'no canary in InfluxDB');
    is_deeply(found(join '', map { get($h->url("/status$_"))->{content} }
        '', '?json', '?text'), [], 'none on the status page');
    is_deeply(found(join "\n", grep { /IMX\d|influx_metrics/ } $h->error_log),
        [], 'none in what this module logs');
    my @tags = sort map { $_->{tagKey} } $db->query('SHOW TAG KEYS',
        'default');
    is_deeply(\@tags, [qw(hostname method process server status)], 'tags');
};

subtest 'by default, in the spool' => sub {
    my $h = httpd(module => 1, influx => 'http://127.0.0.1:1', children => 1,
        threads => 8, start => 0, conf => sub {
            'InfluxMetricsSpool ' . $_[0]->dir . "/run/spool\n" });
    chmod 01777, $h->dir . '/run';    # a spool's parent directory
    $h->start;
    raw($h->port, $_) for requests();
    $h->stop;
    my $text = join '', map { slurp($_) } glob $h->dir . '/run/spool/*';
    cmp_ok(scalar(() = $text =~ /^raw-requests/mg), '>=', 14,
        'the points are there');
    is_deeply(found($text), [], 'without a canary');
};

# What is asked for shows exactly what the manual says it does.
my %reveals = (
    '+uri' => ['path'], '+query' => ['query'], '+user_agent' => ['agent'],
    '+referer' => ['referer'], '+client' => [], '+keepalive' => [],
    '+connection_id' => [], '+request_id' => [], '+trace_id' => [],
    '+pid +thread +tls_version +aborted +ttfb +server_time' => [],
);
my %tags = ('+user' => ['user'], '+backend' => [], '+handler' => [],
    '+protocol +scheme +status_class +vhost_port' => []);

subtest 'by name' => sub {
    my $i = 0;
    for my $case ((map { [Fields => $_, $reveals{$_}] } sort keys %reveals),
        map { [Tags => $_, $tags{$_}] } sort keys %tags) {
        my ($kind, $names, $want) = @$case;
        my $name = 'named' . $i++;
        my $h = server($name, "InfluxMetrics$kind $names");
        raw($h->port, $_) for requests();
        count_is($db, $h, "$names: points", database => $name);
        my @rows = map { $db->query($_, $name) } 'SELECT * FROM /.*/',
            'SHOW SERIES';
        my $all = join "\n", map { my $r = $_; map { $r->{$_} // '' }
            keys %$r } @rows;
        is_deeply(found($all), $want->[0] ? ["canary-$want->[0]"] : [],
            "$names shows " . ($want->[0] // 'nothing of a request'));
        $h->stop;
    }
};

finish();

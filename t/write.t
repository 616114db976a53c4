# Applications write points to httpd as they would to InfluxDB: which requests
# are answered and with what, what becomes of the points, and that a body is
# taken whole or not at all.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Compress::Gzip qw(gzip);
use ImxH2;
use ImxStandin;
use ImxTest;
use JSON::PP qw(decode_json);
use MIME::Base64 qw(encode_base64);
use Sys::Hostname qw(hostname);
use Test::More;

my $standin = ImxStandin->new;
my $h = httpd(module => 1, influx => $standin->url, figures => 1, children => 1,
    modules => [qw(auth_basic authn_file authn_core authz_user authz_host
        reqtimeout deflate filter http2 rewrite)],
    vhosts => ['tags.test' => <<'TAGS', 'other.test' => <<'OTHER'],
InfluxMetricsTag instance blue
InfluxMetricsTag "a key" "a, value"
InfluxMetricsTag path "%{REQUEST_URI}"
<Location /tags>
SetHandler influx-metrics-write
InfluxMetricsTag region eu
</Location>
TAGS
InfluxMetricsMeasurement "shop requests"
<Location />
SetHandler influx-metrics-write
</Location>
OTHER
    conf => sub { <<"CONF" });
Protocols h2c http/1.1
RequestReadTimeout body=2
<Directory $_[0]{dir}/htdocs/customer>
AllowOverride FileInfo
</Directory>
<Location /influx>
SetHandler influx-metrics-write
</Location>
<Location /unpacked>
SetHandler influx-metrics-write
SetInputFilter DEFLATE
</Location>
<Location /for-a-user>
SetHandler influx-metrics-write
AuthType Basic
AuthName points
AuthUserFile $_[0]{dir}/users
Require user app
</Location>
<Location /for-nobody>
SetHandler influx-metrics-write
Require all denied
</Location>
CONF
$h->put('users', "app:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");    # secret

my $now = 1763961600;
my ($refused, $taken) = (0, 0);

sub post {
    my ($path, $body, %o) = @_;
    my $r = http('POST', $h->url($path, $o{vhost}),
        { content => $body, headers => $o{headers} // {} });
    $refused++ if $r->{status} >= 400 && !$o{uncounted};
    $r->{json} = eval { decode_json($r->{content}) };
    return $r;
}

# The lines that InfluxDB got since the last look, once there are so many more;
# without those of requests, such as the ones that were refused by httpd.
my $seen = 0;

sub new_lines {
    my ($n) = @_;
    my @lines;
    wait_until(20, sub {
        @lines = grep { !/^raw-requests,/ } $standin->lines;
        return @lines >= $seen + $n;
    });
    my @new = splice @lines, $seen;
    $seen += @new;
    $taken += @new;
    return @new;
}

subtest 'a point comes as it was sent, and nothing else' => sub {
    my $r = post('/influx/write?db=shop&precision=s',
        "models,species=cat count=12i $now\n");
    is($r->{status}, 204, 'taken');
    is($r->{content} // '', '', 'and no content');
    like($r->{headers}{'x-influxdb-version'}, qr/^mod_influx_metrics-\d/,
        'X-Influxdb-Version');
    is_deeply([new_lines(1)],
        ["models,species=cat count=12i ${now}000000000"], 'in nanoseconds');
    get($h->url('/index.html'));
    figures_are($h, { points_recorded => 2, points_taken => 1,
        requests_counted => 1, bodies_refused => 0 },
        'the write itself is neither a point nor counted');
};

subtest 'the APIs and their precisions' => sub {
    my %ns = (ns => $now . '123456789', us => "$now${\ 123456}", s => $now,
        ms => "${now}123");
    my @tries = (
        ['/influx/write', "${now}123456789", "${now}123456789"],
        ['/influx/write?precision=n', "${now}1", "${now}1"],
        ['/influx/write?u=a&p=b&db=x&rp=y&precision=u', "${now}123456",
            "${now}123456000"],
        ['/influx/write?precision=%C2%B5', "${now}123456", "${now}123456000"],
        ['/influx/write?precision=ms', "${now}123", "${now}123000000"],
        ['/influx/write?precision=m', $now / 60, "${now}000000000"],
        ['/influx/write?precision=h', 489989, 489989 * 3600 . '000000000'],
        ['/influx/api/v2/write?org=o&bucket=b&precision=us', "${now}123456",
            "${now}123456000"],
        ['/influx/api/v2/write?bucket=b', -5, -5],
        ['/influx/api/v3/write_lp?db=x&precision=nanosecond', 17, 17],
        ['/influx/api/v3/write_lp?db=x&precision=second', $now,
            "${now}000000000"],
        ['/influx/api/v3/write_lp?db=x', "${now}123", "${now}123000000"],
        ['/influx/api/v3/write_lp?db=x&precision=auto&no_sync=true', $now,
            "${now}000000000"],
        ['/influx/deep/below/write', 1, 1],
    );
    for (@tries) {
        my ($path, $sent, $stored) = @$_;
        is(post($path, "m f=1 $sent")->{status}, 204, $path);
        is((new_lines(1))[0], "m f=1 $stored", "$sent is $stored");
    }
    for my $bad ('x', 'min', '%0', 'us%20') {
        my $r = post("/influx/write?precision=$bad", 'm f=1 1');
        is($r->{status}, 400, "precision=$bad: 400");
        like($r->{json}{error}, qr/precision/, 'and why');
    }
};

subtest 'points without a time get one of their own' => sub {
    my $before = time;
    post('/influx/write', "m,n=$_ f=1\n" x 1) for 1 .. 5;
    post('/influx/api/v2/write', join '', "# three\n",
        map { "m f=$_\n\n" } 1 .. 100);
    my @lines = new_lines(105);
    my %times = map { /^m(?:,n=\d)? f=\d+ (\d+)$/ ? ($1 => 1) : () } @lines;
    is(scalar keys %times, 105, 'each another one');
    my ($first, $last) = (sort { $a <=> $b } keys %times)[0, -1];
    ok($first / 1e9 >= $before && $last / 1e9 <= time + 1, 'of that moment');
    post('/influx/write', '');
    is(post('/influx/write', "\n# nothing\n")->{status}, 204,
        'a body without a point is no mistake');
};

subtest 'a wrong line, and nothing of the body is taken' => sub {
    my $body = "a f=1 1\nb f=1 1\nc,t= f=1 1\nd f=1 1\ne f=1 1\n";
    my $r = post('/influx/api/v2/write', $body);
    is($r->{status}, 400, 'refused');
    is($r->{headers}{'content-type'}, 'application/json', 'JSON');
    is_deeply($r->{json}, { code => 'invalid', line => 3,
        message => 'line 3: a tag without a value' }, 'it names line 3');
    $r = post('/influx/write', $body);
    is($r->{json}{error}, 'unable to parse line 3: a tag without a value',
        'as InfluxDB 1 says it, so that Telegraf does not send it again');
    is($r->{headers}{'x-influxdb-error'}, $r->{json}{error}, 'its header');
    is(post('/influx/api/v3/write_lp', $body)->{json}{error},
        'line 3: a tag without a value', 'and as InfluxDB 3 does');
    my $long = 'm,t=' . 'v' x 8190 . " f=1 1\n";
    like(post('/influx/write', $long)->{json}{message}, qr/line 1: .*longer/,
        'a line that is too long');
    is(post('/influx/write', 'm,t=' . 'v' x 8000 . ' f=1')->{status}, 204,
        'one that is not');
    is((new_lines(1))[0] =~ /^m,t=v{8000} f=1 \d{19}$/, 1, 'is a point');
    for my $name (qw(raw-requests request-metrics influx-metrics
        slow-requests raw\-requests), 'shop\ requests') {
        my $r = post('/influx/write', "m f=1 1\n$name,x=y f=1 1\n");
        is($r->{status}, 400, "$name is the server's own");
        like($r->{json}{message}, qr/line 2: .*writes itself/, 'and it says so');
    }
    is(scalar(new_lines(0)), 0, 'nothing was taken');
};

subtest 'too much' => sub {
    my $line = 'm,t=' . 'v' x 150 . " f=1 1\n";
    my $two = $line x (2_000_000 / length $line);
    my $r = post('/influx/api/v2/write', $two);
    is($r->{status}, 413, '2 MB: 413');
    like($r->{json}{message}, qr/1048576 bytes and 5000 lines/, 'and the limit');
    is($r->{json}{code}, 'request too large', 'the code');
    is(post('/influx/write', 'm f=1 1' . "\n#" x 1_048_600)->{status}, 413,
        '1 MB and a bit');
    is(post('/influx/write', "m f=1\n" x 5001)->{status}, 413, '5,001 lines');
    gzip(\($two x 50), \my $bomb, -Level => 9);
    cmp_ok(length $bomb, '<', 1_000_000, 'a bomb of 100 MB');
    is(post('/influx/write', $bomb, headers => {
        'Content-Encoding' => 'gzip' })->{status}, 413, 'is refused');
    is(scalar(new_lines(0)), 0, 'nothing was taken');
    is(post('/influx/write', "m f=1\n" x 5000 . "\n#\n" x 100)->{status}, 204,
        '5,000 lines, and comments');
    is(scalar(new_lines(5000)), 5000, 'are taken');
};

subtest 'compressed bodies' => sub {
    gzip(\"m f=1 1\nm f=2 2\n", \my $packed);
    gzip(\"m f=3 3\n", \my $more);
    my %gzip = ('Content-Encoding' => 'gzip');
    is(post('/influx/write', $packed . $more, headers => \%gzip)->{status},
        204, 'gzip, in two members');
    is_deeply([new_lines(3)], ['m f=1 1', 'm f=2 2', 'm f=3 3'], 'is unpacked');
    is(post('/influx/write', 'm f=4 4', headers => {
        'Content-Encoding' => 'identity' })->{status}, 204, 'identity');
    new_lines(1);
    for (['cut', substr $packed, 0, -9], ['no gzip', 'm f=1 1'],
        ['torn', substr($packed, 0, 12) . 'xx' . substr $packed, 14],
        ['empty', '']) {
        my $r = post('/influx/write', $_->[1], headers => \%gzip);
        is($r->{status}, 400, "$_->[0]: 400");
    }
    is(post('/influx/write', $packed, headers => {
        'Content-Encoding' => 'br' })->{status}, 415, 'another coding: 415');
    is(scalar(new_lines(0)), 0, 'nothing was taken');
};

# What mod_deflate unpacks has no length and, unlike chunks, its end comes with
# its last bytes.
subtest 'bodies that httpd unpacks' => sub {
    my %gzip = ('Content-Encoding' => 'gzip');
    gzip(\"m f=1 1\nm f=2 2\n", \my $packed);
    is(post('/unpacked/write', $packed, headers => \%gzip)->{status}, 204,
        'SetInputFilter DEFLATE');
    is_deeply([new_lines(2)], ['m f=1 1', 'm f=2 2'], 'is unpacked once');
    srand 1;
    my $body = '';
    $body .= sprintf "m,t=%s f=1 1\n", join '', map { chr 97 + rand 26 } 1 .. 300
        while length $body < 1_048_577 - 400;
    # Of 1 MB and a byte of it, each line is one.
    $body .= "\n" x (1_048_577 - length($body) - 10) . "m f=1 1234567890\n";
    gzip(\$body, \$packed);
    is(post('/unpacked/write', $packed, headers => \%gzip)->{status}, 413,
        'more than 1 MB, unpacked');
    is(scalar(new_lines(0)), 0, 'nothing was taken');
};

subtest 'bodies in pieces, slow ones, and those that end too early' => sub {
    my $head = "POST /influx/write HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    my $chunked = "${head}Transfer-Encoding: chunked\r\n\r\n"
        . "8\r\nm f=1 1\n\r\n4\r\nm f=\r\n4\r\n2 2\n\r\n0\r\n\r\n";
    like(raw($h->port, $chunked), qr/^HTTP\/1.1 204 /, 'chunked');
    is_deeply([new_lines(2)], ['m f=1 1', 'm f=2 2'], 'is put together');
    like(raw($h->port, $chunked, pause => [length($head) + 40, 0.3]),
        qr/^HTTP\/1.1 204 /, 'with a pause');
    is(scalar(new_lines(2)), 2, 'as well');
    my $lines = "m f=1 1\n" x 100;
    my $whole = "${head}Content-Length: 800\r\n\r\n$lines";
    raw($h->port, substr($whole, 0, -8), half_close => 1);
    raw($h->port, substr($whole, 0, -300), read => 0);
    raw($h->port, substr($chunked, 0, -9), half_close => 1);
    like(raw($h->port, substr($whole, 0, -300), timeout => 6),
        qr/^HTTP\/1.1 408 /, 'one that is too slow: 408');
    $refused += 4;
    is(raw($h->port, $whole) =~ /^HTTP\/1.1 204 /, 1, 'one that is whole');
    is(scalar(new_lines(100)), 100, 'is taken, and no other');
    raw($h->port, "${head}Expect: 100-continue\r\n"
        . "Content-Length: 3000000\r\n\r\n") =~ /^HTTP\/1.1 (\d+)/;
    is($1, 413, 'who asks before sending too much is told so');
    $refused++;
};

# mod_http2 ends a body that is taken back before it breaks it off.
subtest 'bodies over HTTP/2, and those that are taken back' => sub {
    my $c = ImxH2->new($h->port);
    my $send = sub {
        my ($body, %headers) = @_;
        my $id = $c->request('POST', '/influx/write', \%headers, open => 1);
        $c->data($id, $body, end => 1);
        ok($c->wait($id, 10), 'is answered');
        return $c->{body}{$id} // '';
    };
    my $lines = "m f=1 1\nm f=2 2\n";
    gzip(\$lines, \my $packed);
    is($send->($lines, 'content-length' => length $lines), '', 'with its length');
    is($send->($packed, 'content-encoding' => 'gzip'), '', 'gzip without it');
    is(scalar(new_lines(4)), 4, '... are taken');
    is($send->(''), '', 'none at all is no mistake');
    like($send->($lines), qr/a body over HTTP\/2 needs a Content-Length or gzip/,
        'with neither: why not');
    like($send->(substr($packed, 0, -9), 'content-encoding' => 'gzip'),
        qr/did not come whole, or is no gzip/, 'gzip that is cut');
    $refused += 2;
    # Each of these would be a line, and what is behind the cut another value.
    for my $i (1 .. 200) {
        $c = ImxH2->new($h->port) if $i % 20 == 0;
        my $id = $c->request('POST', '/influx/write',
            $i % 2 ? { 'content-length' => 200 } : {}, open => 1);
        $c->data($id, "cut f=1 17\ncut f=12345");
        nap(rand 0.004);
        $i % 3 ? $c->cancel($id) : $c->leave;
        $c = ImxH2->new($h->port) if $i % 3 == 0;
    }
    my $seen = -1;
    wait_until(20, sub {
        my $before = $seen;
        nap(0.5);
        return ($seen = status($h)->{bodies_refused}) == $before;
    });
    $refused = $seen;
    is(scalar(new_lines(0)), 0, 'nothing is taken of what was taken back');
};

subtest 'who may, and who may not' => sub {
    my $body = 'm f=1 1';
    is(post('/for-a-user/write', $body, uncounted => 1)->{status}, 401,
        'no password: 401');
    is(post('/for-a-user/write', $body, headers => { Authorization =>
        'Basic ' . encode_base64('app:secret', '') })->{status}, 204,
        'with the password');
    new_lines(1);
    is(post('/for-nobody/write', $body, uncounted => 1)->{status}, 403, 'nobody may');
    my %pages = (Origin => 'http://evil.test', 'Sec-Fetch-Site' => 'cross-site');
    for my $path (qw(/influx/write /influx/api/v2/write /influx/health)) {
        for my $name (sort keys %pages) {
            my $r = http($path =~ /health/ ? 'GET' : 'POST', $h->url($path),
                { content => $body, headers => { $name => $pages{$name} } });
            is($r->{status}, 403, "$path from a page with $name: 403");
            like($r->{content}, qr/pages in a browser/, 'with a sentence');
        }
    }
    is(post('/influx/write', $body, headers => { 'Sec-Fetch-Site' => $_ })
        ->{status}, 204, "Sec-Fetch-Site: $_") for qw(none same-origin);
    new_lines(2);
    is(post('/influx/write', $body, headers => { 'Sec-Fetch-Site' => $_ },
        uncounted => 1)->{status}, 403, "Sec-Fetch-Site: $_")
        for qw(same-site cross-site x);
    is(scalar(new_lines(0)), 0, 'nothing else was taken');
    my %refused;
    wait_until(20, sub {
        %refused = ();
        /^raw-requests,\S*status=(40[13])/ && $refused{$1}++
            for $standin->lines;
        return ($refused{401} // 0) == 1 && ($refused{403} // 0) == 1;
    });
    is_deeply(\%refused, { 401 => 1, 403 => 1 },
        'points of requests: those that httpd refused, and no other');
};

subtest 'off where the configuration does not switch it on' => sub {
    is(post('/write', 'm f=1 1', uncounted => 1)->{status}, 404, 'elsewhere');
    my %try = (set => 'SetHandler influx-metrics-write',
        add => 'AddHandler influx-metrics-write .html',
        if => "<If \"true\">\nSetHandler influx-metrics-write\n</If>",
        rewrite => "RewriteEngine On\nRewriteRule .* - [H=influx-metrics-write]");
    for my $name (sort keys %try) {
        $h->put("htdocs/customer/$name/.htaccess", "$try{$name}\n");
        $h->put("htdocs/customer/$name/write", 'a file');
        $h->put("htdocs/customer/$name/write.html", 'a file');
        for my $file ($name eq 'add' ? 'write.html' : 'write') {
            is(post("/customer/$name/$file", 'm f=1 1', uncounted => 1)
                ->{status}, 403, ".htaccess, $name: refused");
        }
    }
    my $only = httpd(module => 1, children => 1, conf => 'InfluxMetricsServer '
        . $standin->url . <<'CONF');

<Location /influx>
SetHandler influx-metrics-write
</Location>
CONF
    is(http('POST', $only->url('/influx/write'), { content => 'only f=1 1' })
        ->{status}, 204, 'it works without InfluxMetrics On');
    is_deeply([new_lines(1)], ['only f=1 1'], 'and the point comes');
    $taken--;
    my $off = httpd(module => 1, children => 1, conf => '');
    is(http('POST', $off->url('/write'), { content => 'm f=1 1' })->{status},
        404, 'without a line in the configuration');
    is(scalar(new_lines(0)), 0, 'nothing was taken');
};

subtest 'bodies that httpd itself refuses' => sub {
    my $head = "POST /influx/write HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    my %case = (
        413 => ["Content-Length: 200\r\n\r\n" . "m f=1 1\n" x 25,
            'is longer than LimitRequestBody lets it be'],
        400 => ["Transfer-Encoding: chunked\r\n\r\nzz\r\nm f=1 1\n\r\n0\r\n\r\n",
            'did not come whole'],
    );
    for my $status (sort keys %case) {
        my ($rest, $why) = @{ $case{$status} };
        my $s = httpd(module => 1, influx => $standin->url, children => 1, conf => <<'CONF');
<Location /influx>
SetHandler influx-metrics-write
LimitRequestBody 100
</Location>
CONF
        like(raw($s->port, $head . $rest), qr/^HTTP\/1.1 $status /, "httpd answers $status");
        my @said = grep { /IMX0065/ } $s->error_log;
        like($said[0] // '', qr/now one at \/influx\/write with $status: the body $why/,
            '... as the log says, and why');
    }
    is(scalar(new_lines(0)), 0, 'nothing was taken');
};

subtest 'methods, and the other paths' => sub {
    for my $path (qw(/influx/ping /influx/health)) {
        for my $method (qw(GET HEAD)) {
            my $r = http($method, $h->url($path));
            is($r->{status}, $path =~ /ping/ ? 204 : 200, "$method $path");
            ok($r->{headers}{'x-influxdb-version'}, 'with its version');
        }
        my $r = http('POST', $h->url($path), { content => '' });
        is($r->{status}, 405, "POST $path: 405");
        is($r->{headers}{allow}, 'GET, HEAD', 'and what is allowed');
    }
    is(decode_json(get($h->url('/influx/health'))->{content})->{status},
        'pass', 'healthy');
    like(get($h->url('/influx/ping?verbose=true'))->{content},
        qr/^\{"version":"mod_influx_metrics-/, 'ping?verbose=true');
    for my $method (qw(GET PUT DELETE PATCH)) {
        my $r = http($method, $h->url('/influx/write'));
        is($r->{status}, 405, "$method /write: 405");
        is($r->{headers}{allow}, 'POST', 'and what is allowed');
    }
    is(http('OPTIONS', $h->url('/influx/write'))->{headers}{allow}, 'POST',
        'OPTIONS');
    for my $path (qw(/influx /influx/ /influx/queries /influx/writes
        /influx/api/v3/query_sql)) {
        my $r = http('POST', $h->url($path), { content => 'm f=1 1' });
        is($r->{status}, 404, "$path: 404");
        like($r->{content}, qr{/api/v2/write}, 'and what there is');
    }
};

# Clients of InfluxDB 1 do this before they write.
subtest 'a database is created' => sub {
    my $form = sub {
        my ($q, %o) = @_;
        my $text = 'q=' . $q =~ s/([^\w.-])/sprintf '%%%02X', ord $1/ger =~ s/%20/+/gr;
        return $o{method} ? http($o{method}, $h->url("/influx/query?db=x&$text"))
            : post('/influx/query', "a=b&$text", uncounted => 1, headers => {
                'Content-Type' => 'application/x-www-form-urlencoded' });
    };
    for my $q ('CREATE DATABASE "telegraf"', 'create database any',
        qq{ Create\tDatabase\n "a;\\"b" ; }, 'CREATE DATABASE x WITH DURATION 1d NAME "y"') {
        for my $method (undef, 'POST', 'GET') {
            my $r = $form->($q, method => $method);
            is($r->{status}, 200, ($method // 'form') . ": $q");
            is_deeply(eval { decode_json($r->{content}) },
                { results => [{ statement_id => 0 }] }, 'as InfluxDB answers');
        }
    }
    for my $q ('', 'SHOW DATABASES', 'CREATE DATABASE', 'CREATE DATABASE ;',
        'CREATE DATABASES x', 'CREATE DATABASE x; DROP DATABASE y',
        'CREATE RETENTION POLICY x ON y DURATION 1d REPLICATION 1',
        'SELECT * FROM "raw-requests"', 'x' x 100_000) {
        my $name = substr $q, 0, 40;
        for my $method (undef, length $q < 1000 ? 'GET' : ()) {
            my $r = $form->($q, method => $method);
            is($r->{status}, 400, ($method // 'form') . ": $name");
            my $json = eval { decode_json($r->{content}) } // {};
            like($json->{error}, qr/^points are taken here, and no query is answered: ask/,
                'and why not');
            is($r->{headers}{'x-influxdb-error'}, $json->{error}, 'as InfluxDB has it');
        }
    }
    is(post('/influx/api/v2/query', 'm f=1 1', uncounted => 1)->{json}{message},
        $form->('')->{json}{message}, 'nor with Flux');
    is(http('PUT', $h->url('/influx/query'))->{headers}{allow}, 'GET, HEAD, POST',
        'what is allowed');
    is(scalar(new_lines(0)), 0, 'no point is made of it');
};

subtest 'tags of the host' => sub {
    is(post('/tags/write', 'm,t=v f=1 1', vhost => 'tags.test')->{status}, 204,
        'not asked for');
    is_deeply([new_lines(1)], ['m,t=v f=1 1'], 'none');
    my $conf = $h->{conf};
    $h->reconf(conf => sub { $conf->(@_) . "InfluxMetricsWriteTags On\n"
        . "InfluxMetricsWriteLimit 2M 6000\n" })->graceful(gone => 1);
    my $host = hostname() =~ s/([,= ])/\\$1/gr;
    my %want = (
        'm f=1 1' => "m,a\\ key=a\\,\\ value,hostname=$host,instance=blue,"
            . 'region=eu f=1 1',
        'm,b=1,k=2,z=3 f=1 1' => "m,a\\ key=a\\,\\ value,b=1,hostname=$host,"
            . 'instance=blue,k=2,region=eu,z=3 f=1 1',
        'm,z=1,region=us,b=2 f=1 1' => "m,a\\ key=a\\,\\ value,hostname=$host,"
            . 'instance=blue,z=1,region=us,b=2 f=1 1',
        'm,a\\ key=x,hostname=y instance="z",f=1 1' =>
            'm,a\\ key=x,hostname=y,region=eu instance="z",f=1 1',
    );
    for my $line (sort keys %want) {
        post('/tags/write', $line, vhost => 'tags.test');
        is((new_lines(1))[0], $want{$line}, $line);
    }
    is(post('/influx/write', 'm f=1 1')->{status}, 204, 'another place');
    is((new_lines(1))[0], "m,hostname=$host f=1 1", 'has its own');
    is(post('/influx/write', "m f=1\n" x 6000)->{status}, 204,
        'InfluxMetricsWriteLimit');
    new_lines(6000);
    is(post('/influx/write', "m f=1\n" x 6001)->{status}, 413, 'and above it');
};

figures_are($h, { points_taken => $taken, bodies_refused => $refused },
    'all were counted');
my @said = grep { /IMX0065/ } $h->error_log;
ok(@said >= 1 && @said <= 1 + (time - $^T) / 60,
    'the log tells of refused bodies once a minute') or diag join "\n", @said;
like($said[0], qr/refused, 1 since .*, now one at \/.* with 400: invalid/,
    'and of the first one why');
is_deeply([grep { !/IMX00(?:65|61)|AH01617|AH01630|AH01382|reqtimeout/ }
    $h->complaints], [], 'no other complaint');
finish();

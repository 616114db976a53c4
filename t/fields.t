# Built-in and own tags and fields: chosen by name, changed from server to
# virtual host to directory, typed, and never what was not asked for.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use ImxPoints;
use IO::Socket::INET;
use POSIX ();
use Test::More;

my $db = influxd();
my @usual_tags = qw(hostname method process server status);
my @usual_fields = qw(application_time bytes_sent request_time);
my $status = "<Location /status>\nSetHandler influx-metrics\n"
    . "InfluxMetrics Off\n</Location>\n";

subtest 'every built-in tag' => sub {
    my ($h, $name) = server($db, conf => 'InfluxMetricsTags hostname method process'
        . ' server status backend handler protocol scheme status_class user'
        . " vhost_port\n", modules => [qw(authn_core authn_file auth_basic
        authz_user)]);
    get($h->url);
    my ($p) = points($db, $name, 1);
    is_deeply(keys_of($p), [sort @usual_fields, @usual_tags, qw(handler
        protocol scheme status_class vhost_port)], 'those that a file has');
    is($p->{handler}, 'default-handler', 'handler');
    is($p->{protocol}, 'HTTP/1.1', 'protocol');
    is($p->{scheme}, 'http', 'scheme');
    is($p->{status_class}, '2xx', 'status_class');
    is($p->{vhost_port}, $h->port, 'vhost_port');
};

subtest 'every built-in field' => sub {
    my ($h, $name) = server($db, modules => ['unique_id'], conf =>
        "InfluxMetricsFields +uri +query +client +user_agent +referer "
        . "+keepalive +connection_id +request_id +trace_id +pid +thread "
        . "+tls_version +aborted +server_time +input_time +output_time +ttfb "
        . "+bytes_received\n");
    my $trace = '4bf92f3577b34da6a3ce929d0e0e4736';
    raw($h->port, "GET /index.html?a=1&b HTTP/1.1\r\nHost: x\r\nUser-Agent: "
        . qq{tester "1"\r\nReferer: http://a.test/\r\ntraceparent: 00-$trace}
        . "-00f067aa0ba902b7-01\r\n\r\nGET /index.html HTTP/1.1\r\nHost: x\r\n"
        . "traceparent: 00-XYZ\r\nConnection: close\r\n\r\n");
    my ($p, $q) = points($db, $name, 2);
    my %want = (uri => '/index.html', query => 'a=1&b', client => '127.0.0.1',
        user_agent => 'tester "1"', referer => 'http://a.test/',
        trace_id => $trace, keepalive => 0, bytes_received => 0);
    is($p->{$_}, $want{$_}, $_) for sort keys %want;
    is($q->{keepalive}, 1, 'keepalive of the second request');
    is($q->{$_}, undef, "no $_, no field")
        for qw(query user_agent referer trace_id tls_version);
    is($p->{connection_id}, $q->{connection_id}, 'connection_id');
    isnt($p->{request_id}, $q->{request_id}, 'request_id');
    like($p->{request_id}, qr/^[\w@-]{20,}$/, 'as mod_unique_id makes it');
    my ($log) = $h->access_log;
    is($p->{pid}, $log->{pid}, 'pid');
    cmp_ok($p->{thread}, '<', 8, 'thread');
    ok(!$p->{aborted}, 'aborted is false');
    my $sum = 0;
    $sum += $p->{$_} for qw(server_time application_time input_time
        output_time);
    cmp_ok(abs($p->{request_time} - $sum), '<', 6e-6, 'the phases add up');
    cmp_ok($p->{ttfb}, '<=', $p->{request_time}, 'ttfb');
    my %type = map { $_->{fieldKey} => $_->{fieldType} }
        $db->query('SHOW FIELD KEYS', $name);
    my %types = ((map { $_ => 'float' } qw(request_time application_time
        server_time input_time output_time ttfb)),
        (map { $_ => 'integer' } qw(bytes_sent bytes_received keepalive pid
            thread)),
        (map { $_ => 'string' } qw(uri query client user_agent referer
            connection_id request_id trace_id)), aborted => 'boolean');
    is_deeply(\%type, \%types, 'types');
};

# Each child has one, so two requests at once are answered by two children: in
# each it is the first thread, wherever the child stands in httpd's scoreboard.
for my $mpm (qw(prefork worker)) {
    subtest "thread: $mpm" => sub {
        my ($h, $name) = server($db, mpm => $mpm, children => 2, threads => 1,
            conf => "InfluxMetricsFields +thread +pid\n");
        my $head = "GET /index.html HTTP/1.1\r\nHost: x\r\n";
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $h->port) or die "connect: $!";
        syswrite $s, $head;
        raw($h->port, $head . "Connection: close\r\n\r\n");
        syswrite $s, "Connection: close\r\n\r\n";
        1 while sysread $s, my $rest, 65536;
        my @p = points($db, $name, 2);
        isnt($p[0]{pid}, $p[1]{pid}, 'two children');
        is($_->{thread}, 0, 'the first thread') for @p;
    };
}

subtest 'lists and their changes are inherited' => sub {
    my ($h, $name) = server($db, conf => <<'CONF');
InfluxMetricsTags +protocol
InfluxMetricsFields -application_time +pid
<Location /list>
InfluxMetricsTags method status
InfluxMetricsFields bytes_sent
</Location>
<Location /list/more>
InfluxMetricsTags +scheme -status
InfluxMetricsFields +uri
</Location>
<Location /change>
InfluxMetricsTags -protocol
InfluxMetricsTags -hostname
InfluxMetricsFields +application_time -pid
</Location>
<Location /none>
InfluxMetricsTags none
InfluxMetricsFields none
</Location>
CONF
    ask($h, map { $h->url($_) } qw(/ /list /list/more /change /none));
    my @p = points($db, $name, 5);
    my @minus = qw(bytes_sent request_time);
    is_deeply(keys_of($p[0]), [sort @usual_tags, @minus, qw(pid protocol)],
        'of the server');
    is_deeply(keys_of($p[1]), [qw(bytes_sent method status)],
        'a list of its own forgets what is further out');
    is_deeply(keys_of($p[2]), [qw(bytes_sent method scheme uri)],
        'changes of that list');
    is_deeply(keys_of($p[3]), [sort qw(method process server status),
        @minus, 'application_time'], 'changes of changes');
    is_deeply(keys_of($p[4]), ['request_time'], 'a point has a field');
};

subtest 'virtual hosts' => sub {
    my ($h, $name) = server($db, conf => "InfluxMetricsTag site main\n"
        . "InfluxMetricsRoute shop ^/shop/\n", vhosts => [
        'a.test' => "InfluxMetricsTag site a\nInfluxMetricsTags -hostname\n"
            . "InfluxMetricsRoute sale ^/shop/sale\n",
        'b.test' => "InfluxMetricsFields +uri\n",
    ]);
    ask($h, (map { $h->url('/shop/sale', $_) } undef, qw(a.test b.test)),
        $h->url('/', 'a.test'));
    my @p = points($db, $name, 4);
    my @tags = (@usual_tags, 'site', 'route');
    is_deeply(keys_of($p[0]), [sort @tags, @usual_fields], 'main');
    is($p[0]{site}, 'main', 'a tag of the main server');
    is($p[1]{site}, 'a', '... and of a virtual host');
    is($p[2]{site}, 'main', '... inherited');
    is_deeply([map { $_->{route} } @p], [qw(shop sale shop unmatched)],
        'routes: those of the virtual host come first');
    is($p[1]{hostname}, undef, 'a change in a virtual host');
    is($p[2]{uri}, '/shop/sale', 'a field in a virtual host');
};

subtest 'own tags and fields' => sub {
    my ($h, $name) = server($db, modules => [qw(headers setenvif env)], conf =>
        <<'CONF');
SetEnv here "from env"
Header always set X-Items 17
Header set X-Ratio 0.25
Header set X-Good On
Header set X-Bad "12 apples"
InfluxMetricsTag zone eu
InfluxMetricsTag text "100% of %D, US$"
InfluxMetricsTag path "%{REQUEST_URI}"
InfluxMetricsTag nothing "%{req:No-Such}"
InfluxMetricsTag empty
InfluxMetricsField items int "%{resp:X-Items}"
InfluxMetricsField ratio float "%{resp:X-Ratio}"
InfluxMetricsField good bool "%{resp:X-Good}"
InfluxMetricsField env string "%{reqenv:here}"
InfluxMetricsField bad int "%{resp:X-Bad}"
InfluxMetricsField absent int "%{resp:No-Such}"
InfluxMetricsField build int 42
InfluxMetricsField "odd name" string "%{REQUEST_METHOD} x"
<Location /in>
InfluxMetricsTag zone us
InfluxMetricsTag path
InfluxMetricsField build int 43
InfluxMetricsField good
</Location>
CONF
    ask($h, map { $h->url($_) } '/index.html', '/in');
    my ($p, $q) = points($db, $name, 2);
    is($p->{text}, '100% of %D, US$', 'text with nothing to evaluate');
    my @own = (qw(zone text path items ratio good env build), 'odd name');
    is_deeply(keys_of($p), [sort @usual_tags, @usual_fields, @own],
        'those that have a value');
    is($p->{zone}, 'eu', 'a constant tag');
    is($p->{path}, '/index.html', 'a tag from an expression');
    is($p->{items}, 17, 'int');
    is($p->{ratio}, 0.25, 'float');
    ok($p->{good}, 'bool');
    is($p->{env}, 'from env', 'string');
    is($p->{build}, 42, 'a constant field');
    is($p->{'odd name'}, 'GET x', 'a name with a space');
    is_deeply([@$q{qw(zone path build good)}], ['us', undef, 43, undef],
        'replaced, and taken away, further in');
    my %type = map { $_->{fieldKey} => $_->{fieldType} }
        $db->query('SHOW FIELD KEYS', $name);
    is_deeply({ map { $_ => $type{$_} } qw(items ratio good env build) },
        { items => 'integer', ratio => 'float', good => 'boolean',
            env => 'string', build => 'integer' }, 'types');
};

subtest 'values of another type are left out and counted' => sub {
    my @bad = ('12 apples', '1.5', '9223372036854775808', '0x10', 'nan', '-');
    my ($h, $name) = server($db, modules => ['headers'], conf => $status
        . "InfluxMetricsField n int \"%{req:N}\"\n"
        . "InfluxMetricsField f float \"%{req:F}\"\n"
        . "InfluxMetricsField b bool \"%{req:B}\"\n");
    my $send = sub {
        http('GET', $h->url, { headers => { $_[0] => $_[1] } });
    };
    $send->(N => $_) for @bad, '-9223372036854775808';
    $send->(F => $_) for 'inf', 'NaN', '0x1p3', '1e999', '1,5', '-1.5e-3';
    $send->(B => $_) for qw(maybe 2), 'TRUE';
    my @p = points($db, $name, 16);
    is_deeply([grep { defined } map { $_->{n} } @p], ['-9223372036854775808'],
        'int') or diag explain [map { $_->{n} } @p];
    is_deeply([grep { defined } map { $_->{f} } @p], [-0.0015], 'float');
    is(scalar(grep { defined $_->{b} } @p), 1, 'bool');
    is(figures($h)->{values_left_out}, 13, 'counted on the status page');
};

subtest 'a header of the response for the point only' => sub {
    my ($h, $name) = server($db, modules => ['headers', 'alias'], conf => <<'CONF');
Header set X-Items 5
Header always set X-Always 6
Header set X-Stays 7
InfluxMetricsField items int "%{resp:X-Items}"
InfluxMetricsField always int "%{resp:X-Always}"
InfluxMetricsField stays int "%{resp:X-Stays}"
InfluxMetricsUnsetHeader x-items X-Always
<Location /public>
InfluxMetricsUnsetHeader X-Stays
</Location>
CONF
    my $r = get($h->url);
    wait_until(10, sub { $h->access_count == 1 });
    is_deeply([@{ $r->{headers} }{qw(x-items x-always x-stays)}],
        [undef, undef, 7], 'the client sees the others only');
    $r = get($h->url('/public'));
    is($r->{status}, 404, 'an error');
    is($r->{headers}{'x-always'}, undef, 'has them taken away, too');
    my ($p, $q) = points($db, $name, 2);
    is_deeply([@$p{qw(items always stays)}], [5, 6, 7], 'the point has all');
};

# DirectoryIndex, RewriteRule and Alias change what httpd looks for, and a
# RewriteRule the query, too.
subtest 'uri, query and route are what the client asked for' => sub {
    my ($h, $name) = server($db, modules => [qw(rewrite alias)], conf => sub {
        return <<"CONF" });
InfluxMetricsFields +uri +query
InfluxMetricsRoute old ^/old\$
InfluxMetricsRoute place ^/place\$
InfluxMetricsRoute alias ^/alias/
InfluxMetricsRoute index ^/index
RewriteEngine On
RewriteRule ^/old\$ /index.html?b=2
<Location /place>
Options +FollowSymLinks
RewriteEngine On
RewriteRule place\$ /index.html?b=2
</Location>
Alias /alias @{[ $_[0]->docroot ]}
CONF
    my @paths = qw(/old /place / /alias/index.html);
    ask($h, map { $h->url("$_?a=1") } @paths);
    my @p = points($db, $name, 4);
    is_deeply([map { $_->{status} } @p], [(200) x 4], 'all were found');
    is_deeply([map { $_->{uri} } @p], \@paths, 'uri');
    is_deeply([map { $_->{query} } @p], [('a=1') x 4], 'query');
    is_deeply([map { $_->{route} } @p], [qw(old place unmatched alias)],
        'route');
};

subtest 'routes' => sub {
    my ($h, $name) = server($db, conf => "InfluxMetricsRoute home ^/\$\n"
        . "InfluxMetricsRoute user ^/users/\\d+\$\n"
        . "InfluxMetricsRoute users ^/users\nInfluxMetricsTags -process\n"
        . "<Location /none>\nInfluxMetricsTags -route\n</Location>\n"
        . "<Location /own>\nInfluxMetricsTag route mine\n</Location>\n");
    ask($h, map { $h->url($_) } qw(/ /users/123 /users/456?x=1 /users/new
        /other /none /own));
    my @p = points($db, $name, 7);
    is_deeply([map { $_->{route} } @p], ['home', 'user', 'user', 'users', 'unmatched',
        undef, 'mine'], 'the first match');
    my @series = $db->query('SHOW SERIES', $name);
    cmp_ok(scalar @series, '<=', 7, 'two users are one series');
};

subtest 'a limit for the values of a tag' => sub {
    my ($h, $name) = server($db, mpm => 'prefork', children => 4, conf => $status
        . "InfluxMetricsTagLimit 20\nInfluxMetricsTags -process +user\n"
        . "InfluxMetricsTag path \"%{REQUEST_URI}\"\n"
        . "InfluxMetricsTag agent \"%{HTTP_USER_AGENT}\"\n");
    my @bots;
    for (1 .. 3) {
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            raw($h->port, join '', map { "GET /p$_ HTTP/1.1\r\nHost: x\r\n"
                . ($_ == 100 ? "Connection: close\r\n" : '') . "\r\n" }
                1 .. 100);
            POSIX::_exit(0);
        }
        push @bots, $pid;
    }
    waitpid $_, 0 for @bots;
    my @p = points($db, $name, 300);
    my %n;
    $n{ $_->{path} }++ for @p;
    is(scalar keys %n, 21, 'as many as allowed, and other');
    my $known = 300 - $n{other};
    is(figures($h)->{tag_values_other}, $n{other}, 'counted on the page');
    is(figures($h)->{tags_at_limit}, 'path', 'and named');
    ok(wait_until(10, sub { grep { /IMX0072:.*\bpath\b/ } $h->error_log }),
        'the log says so');
    get($h->url((sort grep { $_ ne 'other' } keys %n)[0]));
    $h->graceful(gone => 1);
    get($h->url('/p999'));
    my @q = points($db, $name, 302);
    my %m;
    $m{ $_->{path} }++ for @q;
    is(scalar keys %m, 21, 'a value that was known stays so, none is added');
    is($m{other}, $n{other} + 1, '... also after a graceful restart');
    is(scalar(grep { /IMX0072:/ } $h->error_log), 1, 'and says it once');
};

subtest 'the page can name any tag' => sub {
    my ($h, $name) = server($db, conf => $status . "InfluxMetricsTagLimit 1\n"
        . qq{InfluxMetricsTag "caf\xc3\xa9, \\"x\\"" "%{REQUEST_URI}"\n});
    ask($h, map { $h->url($_) } qw(/a /b));
    is(figures($h)->{tags_at_limit}, qq{caf\xe9, "x"}, 'in JSON');
    points($db, $name, 2);
};

subtest 'If' => sub {
    my ($h, $name) = server($db, modules => ['setenvif'], conf => <<'CONF');
SetEnvIf Request_URI ^/no no=1
InfluxMetricsIf "-z reqenv('no')"
<Location /post>
InfluxMetricsIf %{REQUEST_METHOD} == 'POST' && %{REQUEST_STATUS} == 404
</Location>
<Location /off>
InfluxMetrics Off
</Location>
CONF
    ask($h, map { $h->url($_) } qw(/ /no /post /off));
    http('POST', $h->url('/post'), { content => 'x' });
    my @p = points($db, $name, 2);
    is_deeply([map { $_->{method} } @p], [qw(GET POST)], 'where it is true');
};

subtest 'Sample' => sub {
    my ($h, $name) = server($db, children => 2, conf => <<'CONF');
InfluxMetricsSample 0.1 errors
<Location /all>
InfluxMetricsSample 1
</Location>
<Location /nothing>
InfluxMetricsSample 0 slow=1ms
</Location>
CONF
    $h->put('htdocs/all/index.html', 'x');
    $h->put('htdocs/nothing/index.html', 'x');
    load(url => $h->url, n => 4000, c => 4);
    get($h->url('/missing')) for 1 .. 20;
    get($h->url('/all/')) for 1 .. 7;
    my $slow = "GET /nothing/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    raw($h->port, $slow, pause => [30, 0.2]);
    my $all = 0;
    my @p;
    wait_until(15, sub {
        @p = eval { $db->query('SELECT * FROM "raw-requests"', $name) };
        grep { $_->{request_time} > 0.15 } @p;
    });
    my @kept = grep { $_->{status} eq '404' } @p;
    is(scalar @kept, 20, 'every error');
    is(scalar(grep { $_->{sample_rate} == 1 } @kept), 20, 'with rate 1');
    is(scalar(grep { !defined $_->{sample_rate} } @p), 7,
        'all have no sample_rate');
    is(scalar(grep { $_->{request_time} > 0.15 } @p), 1, 'every slow one');
    my @sampled = grep { defined $_->{sample_rate} && $_->{sample_rate} < 1 }
        @p;
    my $n = @sampled;
    # 400 +- 19 is one standard deviation (binomial); six of them.
    cmp_ok(abs($n - 400), '<', 6 * 19, "a tenth of 4000: $n");
    is(scalar(grep { $_->{sample_rate} == 0.1 } @sampled), $n, 'says 0.1');
    # As the manual says it.
    my ($all_of_them) = $db->query('SELECT sum(weight) FROM '
        . '(SELECT 1 / sample_rate AS weight FROM "raw-requests")', $name);
    my $kept_always = grep { ($_->{sample_rate} // 0) == 1 } @p;
    cmp_ok(abs($all_of_them->{sum} - 10 * $n - $kept_always), '<', 0.01,
        'and its reciprocal counts all requests');
};

# With ticks of 2 s all of it is a moment or two, at the same addresses.
subtest 'Sample, where the clock hardly moves' => sub {
    plan skip_all => 'a sanitizer is preloaded' if $ENV{IMX_PRELOAD};
    local %ENV = (%ENV, IMX_PRELOAD => build() . '/unit/clock.so',
        IMX_CLOCK_TICK => 2_000_000_000);
    die "$ENV{IMX_PRELOAD} is not there: run make units\n"
        if !-e $ENV{IMX_PRELOAD};
    for (1 .. 3) {
        my ($h) = server($db, conf => $status . 'InfluxMetricsSample 0.5');
        load(url => $h->url, n => 2000, c => 1, keepalive => 0);
        # Such a clock may cut the last delivery of a stop short.
        my $n = figures($h)->{points_recorded};
        # 1000 +- 22 is one standard deviation; six of them.
        cmp_ok(abs($n - 1000), '<', 6 * 22.4, "half of 2000: $n");
    }
};

finish();

# What README.md, docs/migrating.md, docs/shared-hosting.md,
# docs/upgrade-and-removal.md, docs/faq.md and docs/sizing.md advise, with the
# configurations, commands and queries that stand there; and the configurations of
# every other page are ones that httpd takes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxPoints;
use ImxTest;
use ImxTls;
use Test::More;

# What stands between fences, by its language.
sub blocks {
    my ($page) = @_;
    my %block;
    my $text = slurp(top() . "/docs/$page.md");
    push @{ $block{$1} }, $2 while $text =~ /^```(\w+)\n(.*?)^```$/gms;
    return \%block;
}

my $db = influxd();

subtest 'README' => sub {
    my $page = blocks('../README');
    my @conf = @{ $page->{apache} };
    cmp_ok(scalar @conf, '>=', 5, 'configurations to copy');
    my $h = httpd(module => 1, modules => ['authz_host'], start => 0);
    $h->secret('influx-token', "secret\n");
    local @ENV{qw(INFLUX_URL INFLUX_ORG INFLUX_BUCKET INFLUX_TOKEN)}
        = ('http://influxdb:8086', 'my-organization', 'my-bucket', 'secret');
    for my $conf (@conf) {
        my ($ok, $text) = $h->reconf(conf => $conf)->configtest;
        ok($ok, 'is taken: ' . (split /\n/, $conf)[-1]) or diag $text;
        like($text, qr/\ASyntax OK\s*\z/, '... without a word');
    }

    # The page, asked as it says.
    my ($where) = grep { /SetHandler/ } @conf;
    my $served = httpd(module => 1, influx => $db, modules => ['authz_host'],
        conf => $where
        . "InfluxMetricsDatabase readme\n");
    my ($command, $answer) = slurp(top() . '/README.md')
        =~ /^    \$ (curl .*)\n((?:    .*\n)+)/m;
    $command =~ s{http://localhost}{$served->url('')}e;
    my $text = '';
    get($served->url);
    ok(wait_until(20, sub {
        $text = `$command`;
        $text =~ /points_sent: 1$/m }), 'the page, asked as it says') or diag $text;
    is(join(' ', $text =~ /^(\w+):/mg), join(' ', $answer =~ /^ +(\w+):/mg),
        '... answers with these lines');
    my ($first) = slurp(top() . '/README.md') =~ /^    (IMX0017: .*)$/m;
    my ($line) = grep { /IMX0017/ } $served->error_log;
    is($line =~ s/^.*(?=IMX0017)//r =~ s/:\d+,/:8086,/r =~ s/readme/httpd/r,
        $first, 'the first message is that of README');
    ok($served->stop, 'stops');

    my ($second) = slurp(top() . '/README.md') =~ /^    (IMX0020: .*)$/m;
    my $alone = httpd(module => 1, influx => 'http://127.0.0.1:9', children => 1);
    get($alone->url);
    my $is = '';
    ok(wait_until(20, sub {
        ($is) = map { /(IMX0020: .*)/ } $alone->error_log;
        return defined $is }), 'where there is no InfluxDB');
    is($is =~ s/(?<=127\.0\.0\.1:)9\b|(?<=port )9\b/8086/gr =~ s/\d+(?= ms)/0/r,
        $second, '... the log says what README has');
    ok($alone->stop, 'stops');
};

subtest 'docs/own-numbers.md' => sub {
    my ($conf) = slurp(top() . '/docs/own-numbers.md')
        =~ /^( {4}<Location \/influx>\n.*? {4}<\/Location>\n)/ms;
    my ($commands) = slurp(top() . '/docs/own-numbers.md')
        =~ /^With curl:\n\n(.*?)^\S/ms;
    my $h = httpd(module => 1, influx => $db, modules => ['authz_host'],
        conf => "$conf\nInfluxMetricsDatabase own\n");
    $commands =~ s/^ {4}//mg;
    my $url = $h->url('');
    is($commands =~ s{http://localhost}{$url}g, 2, 'two commands');
    is(`(\n$commands\n) 2>/dev/null`, '', 'curl: they are taken');
    my %stored;
    ok(wait_until(20, sub {
        # The database is created with the first body.
        $stored{$_} = [eval { $db->query("SELECT * FROM $_", 'own') }]
            for qw(logins models);
        return @{ $stored{logins} } == 1 && @{ $stored{models} } == 2;
    }), 'one point, and two') or diag explain \%stored;
    ok($h->stop, 'stops');
};

# Configurations of the manual: between fences, or indented.  The forms of the
# directives, with which each section of docs/directives.md begins, are none.
sub configurations {
    my ($page) = @_;
    my $text = slurp($page) =~ s/^## \w+\n\n(?: {4}.*\n)+//mgr;
    return grep { /\A\s*(?:InfluxMetrics\w* |<\w+ )/ }
        $text =~ /^```apache\n(.*?)^```$/gms,
        $text =~ /(?<=\n\n)((?: {4}.*\n)+)/g;
}

subtest 'each configuration of the manual' => sub {
    my $h = httpd(module => 1, start => 0,
        modules => [qw(authz_host dbd proxy proxy_http)]);
    my $ca = ImxTls->new;
    my ($certificate, $key) = map { slurp($_) } $ca->issue('DNS:web1');
    $h->secret('influx-token', "secret\n");
    $h->secret('influx-ca.pem', slurp($ca->file));
    $h->secret('influx-client.pem', $certificate);
    $h->secret('influx-client.key', $key);
    my $tried = 0;
    for my $page (sort glob(top() . '/docs/*.md')) {
        for my $conf (configurations($page)) {
            my $dir = $h->dir;
            my $whole = $conf =~ s{/(?:etc|var/lib)/apache2/}{$dir/}gr;
            # What the page has in a block before, or says in a sentence.
            $whole = "DBDriver sqlite3\nDBDPersist Off\n$whole"
                if $conf =~ /^ *InfluxMetricsQuery/m && $conf !~ /DBDriver/;
            $whole = "InfluxMetricsServer https://influx.example.org\n$whole"
                if $conf =~ /TLSCert/ && $conf !~ /https:/;
            my ($ok, $said) = $h->reconf(conf => $whole)->configtest;
            ok($ok && $said =~ /\ASyntax OK\s*\z/,
                ($page =~ s{.*/}{}r) . ': ' . $conf =~ s/\n.*//sr =~ s/^ +//r)
                or diag $conf, $said;
            $tried++;
        }
    }
    cmp_ok($tried, '>=', 30, 'pages have some');
};

subtest 'from log files to points' => sub {
    my $page = blocks('migrating');
    my ($combined, $second_log) = @{ $page->{apache} };
    my ($awk) = @{ $page->{sh} };
    my ($query) = @{ $page->{influxql} };
    ok($query, 'the page has its parts');

    # The table's words, those of which a request without a login has a value.
    my %word = ('%m' => 'method', '%H' => 'protocol', '%U' => 'uri',
        '%>s' => 'status', '%B' => 'bytes_sent', '%v' => 'server',
        '%a' => 'client', '%R' => 'handler', '%P' => 'pid',
        '%k' => 'keepalive', '%{c}L' => 'connection_id',
        '%{local}p' => 'vhost_port', '%{Referer}i' => 'referer',
        '%{User-Agent}i' => 'user_agent', '%{X-Who}i' => 'who',
        '%f' => 'file');
    my @words = sort keys %word;
    my $table = slurp(top() . '/docs/migrating.md');
    is_deeply([grep { $table !~ /`\Q$_\E`/ } grep { !/X-Who/ } @words], [],
        'the page has these words of LogFormat');
    my ($file) = $table =~ /`(InfluxMetricsField file [^`]*)`/;
    my ($header) = $table =~ /`(InfluxMetricsField name string "%\{req:NAME\}")`/;
    $header =~ s/name string/who string/;
    $header =~ s/NAME/X-Who/;
    my $format = join '\t', map { s/"/\\"/gr } @words;

    my ($h, $name) = server($db, children => 2, conf => sub {
        my $logs = $_[0]->dir . '/logs';
        mkdir $logs;
        s{/var/log/apache2}{$logs} for $second_log, $awk;
        return <<"CONF"; });
$combined$second_log$file
$header
InfluxMetricsTags +handler +vhost_port
InfluxMetricsFields +pid +keepalive +connection_id
LogFormat "%{us}T\\t%q\\t$format" all
CustomLog logs/all.log all
CONF
    my $n = 60;
    for my $i (1 .. $n / 3) {
        raw($h->port, join '', map { "GET $_ HTTP/1.1\r\nHost: x\r\nX-Who: me\r\n"
            . "User-Agent: some \"browser\", 1=1\r\nReferer: http://a/?b c\r\n"
            . ($_ =~ /last/ ? "Connection: close\r\n" : '') . "\r\n" }
            "/index.html?a=$i&b", "/no/$i", "/last/$i");
    }
    my @points = points($db, $name, $n);
    ok(wait_until(10, sub { slurp($h->dir . '/logs/all.log') =~ tr/\n// == $n }),
        'the log has them, too');
    my (%of, @differ, @far, $logged);
    push @{ $of{ "$_->{uri} " . ($_->{query} // '') } }, $_ for @points;
    for my $line (split /\n/, slurp($h->dir . '/logs/all.log')) {
        my ($us, $query_string, @is) = split /\t/, $line, -1;
        my %is;
        @is{@words} = map { s/\\"/"/gr } @is;
        my $point = shift @{ $of{ "$is{'%U'} " . ($query_string =~ s/^\?//r) } };
        $logged++;
        push @differ, "$line: no point" or next if !$point;
        push @differ, map { "$_: log '$is{$_}', point '$point->{ $word{$_} }'" }
            grep { ($point->{ $word{$_} } // '') ne $is{$_}
                && !($is{$_} eq '-' && ($_ eq '%{c}L' || $_ eq '%R'
                    && $point->{handler} eq 'default-handler'))
                && !($_ eq '%k' && $is{'%U'} =~ /last/
                    && $is{$_} == $point->{keepalive} - 1) } @words;
        # The log is written a moment before or after the point.
        push @far, "$us us, $point->{request_time} s"
            if abs($us / 1e6 - $point->{request_time}) > 0.0001 + 0.2 * $us / 1e6;
    }
    cmp_ok(scalar @far, '<', $n / 4, 'and times are the same, in seconds')
        or diag join "\n", @far;
    is($logged, $n, 'each line was looked at');
    is_deeply(\@differ, [], 'each word of LogFormat is the field that the page says');

    my ($from, $to) = (time - 3600, time + 60);
    s/1764154800/$from/, s/1764158400/$to/ for $awk, $query;
    like($awk, qr/from=$from .*to=$to\b/, 'the span of the page');
    my $logs = `$awk`;
    is($?, 0, 'what the page says of the log runs');
    my $points = join '', sort map { "$_->{server} $_->{status} $_->{n} $_->{bytes}\n" }
        $db->query($query, $name);
    is($points, $logs, 'log and points have as many requests, and bytes');
    like($logs, qr/^imx\.test 200 20 240$/m, '... of which these are known');
    like($logs, qr/^imx\.test 404 40 \d+$/m, '... and these');
    ok($h->stop, 'stops');
};

subtest 'shared hosting' => sub {
    my $page = blocks('shared-hosting');
    my ($directories, $site, $host) = @{ $page->{apache} };
    my ($customer_query) = @{ $page->{influxql} };
    my ($htaccess) = @{ $page->{htaccess} };
    ok($host && $customer_query && $htaccess, 'the page has its parts');
    my $limit = 20;
    my ($h, $name) = server($db, modules => ['env', 'alias'], start => 0,
        conf => sub {
            my $dir = $_[0]->dir;
            return <<"CONF" . $directories =~ s{/srv/customers}{$dir/htdocs}gr });
$site$host
InfluxMetricsTagLimit $limit
InfluxMetricsFields +uri
<Directory $dir/htdocs>
AllowOverride FileInfo
</Directory>
CONF
    my %tried = ("acme/shop" => $htaccess, 'acme/none' => "SetEnv SITE \"\"\n",
        'acme/mad' => "SetEnv SITE \"a,b=c d\\\\\"\n",
        'roadrunner/theft' => "InfluxMetricsTag customer acme\n");
    mkdir $h->dir . "/htdocs/$_" for qw(acme roadrunner), sort keys %tried;
    $h->put("htdocs/$_/.htaccess", $tried{$_}), $h->put("htdocs/$_/a.txt", $_)
        for sort keys %tried;
    $h->put("htdocs/$_", 'x') for 'acme/a.txt', 'roadrunner/a.txt', 'a.txt';
    $h->start;
    my @paths = map { "/$_/a.txt" } sort keys %tried;
    my @all = ('/a.txt', '/acme/a.txt', '/acme/not-there', '/roadrunner/a.txt',
        @paths);
    my %status = map { ($_ => get($h->url($_))->{status}) } @all;
    is($status{'/acme/shop/a.txt'}, 200, 'SetEnv is allowed');
    is($status{'/roadrunner/theft/a.txt'}, 500, 'the tag of another one is not');
    my %point = map { ($_->{uri} => $_) } points($db, $name, scalar @all);
    my %is = map { ($_ => join ' ', map { $_ // '-' }
        @{ $point{$_} }{qw(customer site)}) } @all;
    is_deeply(\%is, {
        '/a.txt' => '- -', '/acme/a.txt' => 'acme -',
        '/acme/not-there' => 'acme -', '/roadrunner/a.txt' => 'roadrunner -',
        '/acme/shop/a.txt' => 'acme shop', '/acme/none/a.txt' => 'acme -',
        '/acme/mad/a.txt' => 'acme a,b=c d',
        '/roadrunner/theft/a.txt' => '- -',
    }, 'whose request it was, and the name that he gave') or diag explain \%is;
    my %n = map { ($_->{customer} => $_->{n}) } $db->query($customer_query, $name);
    is_deeply(\%n, { '' => 2, acme => 5, roadrunner => 1 },
        'the query of the page');

    # A bot that makes names up.
    my $bot = 200;
    raw($h->port, join '', map { "GET /a.txt HTTP/1.1\r\nHost: h$_.example\r\n"
        . ($_ == $bot ? "Connection: close\r\n" : '') . "\r\n" } 1 .. $bot);
    points($db, $name, @all + $bot);
    is(scalar(() = $db->query('SHOW TAG VALUES WITH KEY = "host"', $name)),
        $limit + 1, 'as many names of hosts as allowed, and other');
    ok($h->stop, 'stops');
};

# As `make install' has it, and reload; then taken out.
subtest 'upgrade and removal' => sub {
    my $destination = work_dir() . '/destination';
    my $make = sub {
        delete local @ENV{grep { /^(?:MAKE|MFLAGS|GNUMAKE)/ } keys %ENV};
        my $text = `make -C @{[top()]} $_[0] BUILD=@{[build()]} DESTDIR=$destination 2>&1`;
        is($?, 0, "make $_[0]") or diag $text;
        return $text;
    };
    $make->('install');
    chomp(my ($module) = `find $destination -name mod_influx_metrics.so`);
    my $inode = (stat $module)[1];
    my ($h, $name) = server($db, module => $module, children => 2,
        figures => 1);
    my $load = client(port => $h->port, c => 4, rate => 100, seconds => 3,
        close => 1);
    ok(wait_until(20, sub { $h->access_count > 20 }), 'under load');
    $make->('install');
    isnt((stat $module)[1], $inode, 'the file that is in use is not written to');
    $h->graceful(gone => 1);
    my $r = $load->wait;
    is($r->{broken}, 0, 'no request was refused');
    cmp_ok($r->{complete}, '>', 100, 'requests were answered');
    is(scalar(grep { /IMX0017: mod_influx_metrics \d/ } $h->error_log), 2,
        'the log says each time which version runs');
    count_is($db, $h, 'each is a point', database => $name);

    # What waits is delivered by those who end.
    $db->pause;
    get($h->url) for 1 .. 5;
    ok(wait_until(10, sub { figures($h)->{points_pending} >= 5 }), 'points wait');
    my $points = $h->access_count;
    $h->reconf(module => 0, conf => '');
    ok(($h->configtest)[0], 'the configuration without it');
    $h->graceful;
    $db->resume;
    ok(wait_until(30, sub {
        $db->count('raw-requests', $name) == $points }), 'taken out: they arrive')
        or diag $db->count('raw-requests', $name) . " of $points";
    is(get($h->url)->{status}, 200, 'httpd serves without it');
    is_deeply([$h->complaints], [], 'no complaint');
    ok($h->stop, 'stops');
    $make->('uninstall');
    is(`find $destination ! -type d`, '', 'make uninstall leaves no file');
};

# The commands of two pages, with the addresses of this test.
subtest 'are there points, and how much memory do series take' => sub {
    my ($h, $name) = server($db, children => 2, figures => 1);
    get($h->url) for 1 .. 3;
    my $faq = slurp(top() . '/docs/faq.md');
    my ($page, $query) = $faq =~ /^ {7}(curl .*?)\n\n/gms;
    ok($query, 'faq.md has its commands');
    my $figures = 'http://127.0.0.1:' . $h->port('figures');
    $page =~ s{http://localhost/influx-metrics}{$figures/};
    ok(wait_until(20, sub { `$page` =~ /^points_sent: 3$/m }),
        'points that were sent are seen on the page') or diag $page, `$page`;
    my $url = $db->url('');
    $query =~ s{http://127\.0\.0\.1:8086}{$url};
    $query =~ s/db=httpd/db=$name/;
    like(`$query`, qr/"raw-requests".*,3\]/, '... and in InfluxDB');

    # With a retention policy that is not the default one.
    my ($from, $policy) = $faq =~ /it is `(FROM "(\w+)"\."raw-requests")`/;
    ok($policy, 'faq.md has what is asked then');
    $db->query("CREATE RETENTION POLICY $policy ON \"$name\" DURATION 14d "
        . 'REPLICATION 1');
    my $kept = httpd(module => 1, influx => $db,
        conf => "InfluxMetricsDatabase $name $policy\n");
    get($kept->url);
    my $there = $query =~ s/FROM "raw-requests"/$from/r;
    ok(wait_until(20, sub { `$there` =~ /"raw-requests".*,1\]/ }),
        '... and finds the points') or diag `$there`;
    like(`$query`, qr/,3\]/, '... which the other query does not');
    ok($kept->stop, 'stops');
    ok($h->stop, 'stops');

    # Queries of two other pages, of points that are a sample, and of an interval.
    my ($sample) = slurp(top() . '/docs/directives.md') =~ /^    (SELECT sum\(weight\).*)$/m;
    my ($rate) = slurp(top() . '/docs/measurements.md')
        =~ /^    (SELECT sum\("request_count"\)\*1000.*?)\n\n/ms;
    ok($sample && $rate, 'directives.md and measurements.md have their queries');
    $db->query('CREATE DATABASE "sample"');
    $db->write(<<'LINES', 'sample');
raw-requests,server=a sample_rate=0.25 1
raw-requests,server=a sample_rate=1 2
request-metrics,server=a request_count=30i 1
LINES
    my ($row) = $db->query($sample, 'sample');
    is($row->{sum}, 5, 'points of a sample count as what they stand for');
    my %of = (timeFilter => 'time < 10s', __interval_ms => 10_000,
        __interval => '10s');
    $rate =~ s/\$(\w+)/$of{$1}/g;
    my ($second) = grep { defined } map { my $r = $_;
        map { $r->{$_} } grep { !/^(?:_name|time|server)$/ } keys %$r }
        $db->query("$rate LIMIT 1", 'sample');
    is($second, 3, 'and a rate is that of a second');

    my ($try) = blocks('sizing')->{sh}[0] =~ /^(seq.*?)^ps /ms;
    ok($try, 'sizing.md has its command');
    $try =~ s/seq \d+/seq 1000/;
    $try =~ s{curl}{curl -s};
    $try =~ s{http://127\.0\.0\.1:8086}{$url};
    $db->query('CREATE DATABASE try');
    is(`$try`, '', 'InfluxDB takes these lines');
    is(scalar(() = $db->query('SHOW SERIES', 'try')), 1000, '... each a series');
};

# No database at all: figures on the page, and nothing in the log.
subtest 'without any database' => sub {
    my ($advice) = slurp(top() . '/docs/faq.md')
        =~ /(`InfluxMetricsSample 0` and `InfluxMetricsReport none`)/;
    ok($advice, 'the advice stands there');
    my $h = httpd(module => 1, influx => 'http://127.0.0.1:9', figures => 1,
        conf => join "\n", $advice =~ /`([^`]+)`/g);
    get($h->url) for 1 .. 7;
    ok(wait_until(10, sub { figures($h)->{requests_counted} == 7 }), 'counted');
    ok($h->stop, 'stops');
    is_deeply([$h->complaints], [], 'no complaint');
};

finish();

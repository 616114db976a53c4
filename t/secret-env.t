# InfluxMetricsTokenEnv and InfluxMetricsPasswordEnv: a secret that stood in the
# environment of httpd's parent is used, over graceful restarts too, and nobody
# finds it in an environment afterwards: no CGI program, no piped logger, not
# /proc/PID/environ; nor in the log.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $secret = 'pass-word-7f3k';
my $db = influxd(auth => 1);
$db->query(qq{CREATE USER writer WITH PASSWORD '$secret'});

sub clean {
    my ($text, $name) = @_;
    cmp_ok(length $text, '>', 0, "$name: there is something to look at");
    unlike($text, qr/\Q$secret\E/, "$name: without the secret");
}

sub start {
    my ($mpm, $cgi) = @_;
    my $h = httpd(module => 1, influx => $db, mpm => $mpm, children => 1,
        modules => [$cgi, qw(alias info)], start => 0);
    my $dir = $h->dir;
    $db->query("CREATE DATABASE $mpm");
    $db->query("GRANT WRITE ON $mpm TO writer");
    $h->put('cgi/env.cgi', "#!$^X\n" . 'print "Content-Type: text/plain\n\n"; '
        . 'print map { "$_=$ENV{$_}\n" } sort keys %ENV;'
        . 'open F, "/proc/self/environ"; print <F>;', 0755);
    $h->put('logger', "#!$^X\n" . 'open O, ">>", "' . $dir . '/logger.txt"; '
        . 'print O map { "$_=$ENV{$_}\n" } %ENV; close O; 1 while <STDIN>;',
        0755);
    $h->reconf(conf => <<"CONF");
InfluxMetricsUser writer
InfluxMetricsPasswordEnv IMX_TEST_PASSWORD
InfluxMetricsDatabase $mpm
LogLevel trace8
ScriptAlias /cgi/ $dir/cgi/
CustomLog "|$dir/logger" imx
@{[ $cgi eq 'cgid' ? "ScriptSock $dir/run/cgid" : '' ]}
<Location /server-info>
SetHandler server-info
</Location>
CONF
    local $ENV{IMX_TEST_PASSWORD} = $secret;
    return $h->start;
}

for my $case (['event', 'cgid'], ['prefork', 'cgi']) {
    my ($mpm, $cgi) = @$case;
    subtest $mpm => sub {
        my $h = start($mpm, $cgi);
        for my $time ('after the start', 'after a graceful restart',
            'after another one', 'after a restart') {
            load(url => $h->url, n => 20, c => 1);
            count_is($db, $h, "$time: InfluxDB takes the points",
                database => $mpm);
            my $r = get($h->url('/cgi/env.cgi'));
            like($r->{content}, qr/^GATEWAY_INTERFACE=/m,
                "$time: a CGI program has an environment");
            clean($r->{content}, "$time: environment of a CGI program");
            for my $pid ($h->pid, $h->children) {
                # A child that ends just now has none, and is soon gone.
                my $shown = '';
                wait_until(20, sub {
                    $shown = eval { slurp("/proc/$pid/environ") } // '';
                    return $shown ne '' || !kill 0, $pid;
                });
                next if $shown eq '' && $pid != $h->pid;
                clean($shown, "$time: /proc/PID/environ");
                like($shown, qr/IMX_TEST_PASSWORD=\0+/,
                    "$time: which has zeros instead") if $pid == $h->pid;
            }
            last if $time eq 'after a restart';
            $time =~ /another/ ? $h->restart : $h->graceful(gone => 1);
        }
        clean(get($h->url('/server-info'))->{content}, 'mod_info');
        clean(slurp($h->dir . '/logger.txt'), 'environment of a piped logger');
        clean(slurp($h->dir . '/error.log'), 'error log');

        # Who tests the configuration, or sends a signal with httpd's own
        # command, need not have the variable.
        my ($ok, $text) = $h->configtest;
        ok($ok, 'httpd -t without the variable passes');
        like($text, qr/warn.*IMX0019: InfluxMetricsPasswordEnv: the variable IMX_TEST_PASSWORD has no secret/,
            'with a warning');
        my $before = $h->_generations;
        {
            local %ENV = (%ENV, %{ $h->_env });
            is(system($h->_command('-k', 'graceful')), 0, 'httpd -k graceful');
        }
        ok(wait_until(20, sub { $h->_generations > $before }), 'works');
        load(url => $h->url, n => 20, c => 1);
        count_is($db, $h, 'and the secret is still there', database => $mpm);
        ok($h->stop, 'stops');

        # Without the variable it does not start.
        ok(!eval { $h->start; 1 }, 'without the variable httpd does not start');
        like(slurp($h->dir . '/error.log') . $@, qr/IMX0019/, 'and says so');
        $h->stop;
    };
}

# One sentence for what excludes each other.
my $h = httpd(module => 1, influx => $db, start => 0, figures => 1);
my $file = $h->secret('file', "secret\n");
my $token = "InfluxMetricsTokenFile $file";
my $password = "InfluxMetricsPasswordFile $file";
$ENV{IMX_TEST_SECRET} = 'hush';
my ($by_token, $by_password) = map { "InfluxMetrics${_}Env IMX_TEST_SECRET" }
    qw(Token Password);
for my $case (["$token\n$by_token", qr/TokenFile and \w+TokenEnv exclude each other/],
    ["InfluxMetricsUser u\n$password\n$by_password", qr/PasswordFile and \w+PasswordEnv\s+exclude each other/],
    ["InfluxMetricsUser u\n$by_password\n$by_token", qr/User and \w+TokenEnv exclude each other/],
    [$by_password, qr/User and \w+PasswordEnv need each other/],
    # Where the name is expected there may be the secret itself.
    ['InfluxMetricsTokenEnv hush$', qr/InfluxMetricsTokenEnv: .* not shown.* must be the name of/],
    ['InfluxMetricsTokenEnv A-hush', qr/InfluxMetricsTokenEnv: .* not shown.* must be the name of/],
    ['InfluxMetricsTokenEnv ${IMX_TEST_SECRET}-', qr/InfluxMetricsTokenEnv: .* not shown/],
    ['InfluxMetricsTokenEnv apiv3_' . 'hush' x 20, qr/InfluxMetricsTokenEnv: .* not shown/],
    # And where a file is expected.
    (map { ["InfluxMetricsTokenFile $_", qr/IMX0013: InfluxMetricsTokenFile: .* not shown, must be a file .*\(line \d+ of/] }
        '${IMX_TEST_SECRET}', 'hush==', 'hu/hush', '/hush==', '/hu/hush==', 'hush' x 500),
    ["InfluxMetricsTokenFile \"hush\x01\"", qr/InfluxMetricsTokenFile: .* not shown.* must be a file/],
    ["InfluxMetricsUser u\nInfluxMetricsPasswordFile \${IMX_TEST_SECRET}",
        qr/IMX0013: InfluxMetricsPasswordFile: .* not shown, must be a file/]) {
    my ($conf, $says) = @$case;
    $h->reconf(conf => $conf);
    my ($ok, $text) = $h->configtest;
    ok(!$ok, "stops httpd -t: $conf");
    like($text, $says, 'and says why');
    unlike($text, qr/hush/, 'without the secret');
}
for my $gone ($h->dir . '/gone', $h->dir . '/gone/../gone') {
    $h->reconf(conf => "InfluxMetricsTokenFile $gone");
    like(($h->configtest)[1], qr{IMX0013: InfluxMetricsTokenFile: \Q@{[ $h->dir ]}\E/gone must},
        'a file that is missing in a directory is shown');
}

# At a restart the site goes on, and later nothing tells of it either.
$h->reconf(conf => 'InfluxMetricsDatabase event');
$h->start;
$h->reconf(conf => 'InfluxMetricsTokenFile hush==')->graceful;
load(url => $h->url, n => 20, c => 1);
ok(wait_until(20, sub { figures($h)->{last_error} =~ /the secret's file: No such file/ }),
    'a restart: the page says what is missing');
ok(wait_until(20, sub { grep { /IMX0020: .*the secret's file: No such file/ } $h->error_log }),
    '... and so does the log');
unlike(slurp($h->dir . '/error.log') . get($h->url('/?text', 'figures'))->{content},
    qr/hush/, '... without the secret');
$h->stop;

$ENV{IMX_TEST_SECRET} = "ab\x01c";
$h->reconf(conf => $by_token);
my ($ok, $text) = $h->configtest;
like($text, qr/IMX0019.*control character/, 'a value that is no secret');
$ENV{IMX_TEST_SECRET} = 'Bearer hush';
($ok, $text) = $h->configtest;
ok($ok, 'one that can be trimmed is right');
like($text, qr/\ASyntax OK\s*\z/, 'without a word');

finish();

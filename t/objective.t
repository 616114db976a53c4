# InfluxMetricsObjective on the status page: how many requests of a virtual host
# kept it, in the last five minutes and the last hour, and the burn rate of the
# dashboards, as JSON, as text and in a tile; which one is meant where sections
# have others; and the sentence when it burns.  (The sums of an hour:
# t/unit-history.t; the tile with a script: t/page-browser.t.)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTerminal;
use ImxTest;
use Test::More;

my $bad = "RewriteEngine On\nRewriteRule ^/bad - [R=503]\n";
my $h = httpd(module => 1, influx => 'http://127.0.0.1:9', figures => 1,
    modules => ['rewrite'], vhosts => [
        'one.test' => "InfluxMetricsObjective 10s 99.9\n$bad",
        'two.test' => "<Location /api>\nInfluxMetricsObjective 20s 99%\n"
            . "</Location>\n",
        'plain.test' => $bad,
    ]);

sub ask {
    my ($host, $path, $n) = @_;
    get($h->url($path, $host)) for 1 .. $n;
}

sub page { return get($h->url("/$_[0]", 'figures'))->{content} }

# What ?json says, by host; of all of them: ''.
sub objectives {
    my $s = status($h) // return {};
    return { '' => $s->{total}{objective},
        map { $_->{name} => $_->{objective} } @{ $s->{hosts} } };
}

# The last hour and the last five minutes are the same as yet.
sub is_so {
    my ($host, $good, $total, $burn, $name) = @_;
    my $o;
    ok(wait_until(20, sub {
        $o = objectives()->{$host};
        return ($o->{hour}{total} // -1) == $total
            && $o->{minutes5}{total} == $total;
    }), "$name: requests") or return diag explain objectives();
    for my $span (qw(minutes5 hour)) {
        is($o->{$span}{good}, $good, "$name: good ones, $span");
        is(defined $o->{$span}{burn} && sprintf('%.2f', $o->{$span}{burn}),
            defined $burn && sprintf('%.2f', $burn), "$name: burn rate, $span");
        cmp_ok($o->{$span}{seconds}, '<', 300, "$name: as far as is known");
    }
    return;
}

sub goal_is {
    my ($host, $time, $percent, $name) = @_;
    my $o = objectives()->{$host};
    is_deeply([@$o{qw(time percent)}], [$time, $percent], $name)
        or diag explain $o;
    return;
}

sub words {
    return grep { $_->{what} =~ / misses its objective/ }
        @{ (status($h) // {})->{words} // [] };
}

# ---- what is counted ----

ok(wait_until(20, sub { exists objectives()->{'plain.test'} }), 'hosts are known');
is_so('one.test', 0, 0, undef, 'no request yet');
ask('one.test', '/', 30);
ask('one.test', '/bad', 2);
ask('two.test', '/api/x', 5);     # 404 is good
ask('two.test', '/', 3);
ask('plain.test', '/bad', 3);
is_so('one.test', 30, 32, 62.5, 'of a virtual host');
is_so('two.test', 5, 5, 0, 'of a section');
is_so('', 35, 37, 2 / (32 * 0.001 + 5 * 0.01), 'of all');
goal_is('one.test', 10, 99.9, 'that of a virtual host');
goal_is('two.test', 20, 99, 'that of a section');
goal_is('', undef, undef, 'all have not one in common');
for my $host (qw(plain.test imx.test)) {
    ok(!defined objectives()->{$host}, "$host has none");
}

my $text = page('?text');
like($text, qr/^objective: \s 99\.9\ %,\ 10\.000\ s,\ 30\ good\ of\ 32\ in\ \d+\ s,
    \ burn\ rate\ 62\.500,\ 30\ good\ of\ 32\ in\ \d+\ s,\ burn\ rate\ 62\.500,
    \ one\.test$/mx, '?text');
like($text, qr/^objective: 35 good of 37 .*, all virtual hosts$/m, '... of all');
unlike($text, qr/^objective: .*plain\.test/m, '... and of no other');

# 35 of 37, rounded down.
like(page('?html'), qr{<div\ id="objective"\ class="bad"><dt>Objective</dt>
    <dd[^>]*>94\.594\ %</dd><dd[^>]*>in\ the\ last\ (?:\d+\ s|\d+\ min[^,]*),
    \ burn\ rate\ 24\.4;\ 24\.4\ in\ the\ last\ }x, 'the tile');

# ---- the sentence ----

is_deeply([words()], [], 'two bad requests alone are no reason for words');
ask('one.test', '/bad', 20);
ok(wait_until(20, sub { objectives()->{'one.test'}{hour}{total} == 52
    && words() }), 'twenty are') or diag explain objectives();
my ($word) = words();
like($word->{what}, qr/^one\.test\ misses\ its\ objective,\ 99\.9\ %\ good\ requests
    \ within\ 10\.0\ s:\ the\ burn\ rate\ is\ \d+\.\d\ in\ the\ last\ .*\ and\ /x,
    '... what');
like($word->{todo}, qr/Look at its errors, its percentiles/, '... what to do');
is($word->{level}, 'critical', '... the level');
my ($status, $once) = top_once($h->url('/', 'figures'), '--host', 'one.test');
is($status, 2, '--once: its exit status');
like($once, qr/^CRITICAL: one\.test misses its objective/m, '... its words');
like($once, qr/^objective 10\.0 s, 99\.9 %: 57\.692 % in the last .*, burn rate 423; 423 in/m,
    '... its line');
like($once, qr/^\| .* burn_5m=423\.\d+ burn_1h=423\.\d+ /m, '... its figures');
client(port => $h->port('one.test'), n => 3000, c => 4)->wait;
ok(wait_until(20, sub { objectives()->{'one.test'}{hour}{total} == 3052
    && !words() }), 'over: of many requests they are few')
    or diag explain objectives();

# ---- which one is meant ----

$h->reconf(conf => <<'CONF', vhosts => [ 'one.test' => <<'ONE', 'two.test' => '' ]);
InfluxMetricsObjective 1s 99
<Location /large>
InfluxMetricsObjective none
</Location>
CONF
InfluxMetricsObjective 1s 99.5
<Location /api>
InfluxMetricsObjective 200ms 99
</Location>
ONE
$h->graceful(gone => 1);
ok(wait_until(20, sub { (objectives()->{'two.test'} // {})->{percent} }),
    'a graceful restart brings others');
goal_is('one.test', undef, 99.5, 'two of a host: the highest percentage');
goal_is('two.test', 1, 99, 'that of the main server');
goal_is('imx.test', 1, 99, '... as in it');
$h->reconf(conf => '', vhosts => ['one.test' => '', 'two.test' => '']);
$h->graceful(gone => 1);
ok(wait_until(20, sub { my $o = objectives();
    exists $o->{'one.test'} && !grep { defined } values %$o }),
    'no objective any more') or diag explain objectives();
like(page('?html'), qr/<div id="objective" hidden>/, '... and no tile');
unlike(page('?text'), qr/^objective/m, '... and no line');
ok($h->stop, 'stops');
finish();

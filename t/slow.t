# Slow requests: seen while they run, on the page and in points, with what they
# wait for and without their query; gone when they end, or their child does.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxApp;
use ImxH2;
use ImxMeasured;
use ImxTest;
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_RCVBUF INADDR_LOOPBACK pack_sockaddr_in);
use Test::More;
use Time::HiRes qw(time);

setpriority 0, 0, -10 if !$>;   # as in phases.t

my $db = influxd();
my $long = 4;                   # s that each request takes
my $secret = 'sesame';          # in each query

# An access checker that takes its time, and a logger that breaks off.
my $lua = <<'LUA';
require 'apache2'
function check(r)
    r.usleep(4000000)
    r.user = 'somebody'
    return apache2.OK
end
function log(r)
    return 500
end
LUA

sub server {
    my ($mpm, %o) = @_;
    my $h2 = $mpm eq 'prefork' ? 0 : 1;
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        children => $mpm eq 'prefork' ? 14 : 2, start => 0,
        report => 'none slow=1s workers=1s',
        modules => [qw(alias authn_core authz_user headers include lua proxy
            proxy_http), $mpm eq 'prefork' ? 'cgi' : 'cgid',
            $h2 ? 'http2' : ()],
        conf => sub { my ($dir, $behind) = ($_[0]->dir,
            $_[0]->port('behind.test')); <<"CONF" },
InfluxMetricsDatabase $mpm
@{[$o{conf} // '']}
@{[$h2 ? 'Protocols h2c http/1.1' : '']}
ScriptAlias /cgi/ $dir/htdocs/cgi/
ProxyPass /proxy/ http://127.0.0.1:$behind/
ErrorDocument 404 /cgi/app/not-found?app=$long
<Location /cgi/app/refused>
Header set X-Y "a\x01b"
ErrorDocument 500 /cgi/app/document?app=$long
</Location>
<Location /locked>
AuthType Basic
AuthName imx
Require valid-user
LuaHookCheckUserID $dir/hooks.lua check
</Location>
<Location /broken>
LuaHookLog $dir/hooks.lua log
</Location>
<Directory $dir/htdocs/parts>
Options +Includes
SetOutputFilter INCLUDES
</Directory>
<Location /cgi/app/off>
InfluxMetrics Off
</Location>
CONF
        vhosts => ['behind.test' => sub { "InfluxMetrics Off\n"
            . 'ScriptAlias / ' . $_[0]->dir . '/htdocs/cgi/' }]);
    $h->put('hooks.lua', $lua);
    mkdir $h->dir . "/htdocs/$_" for qw(cgi parts locked broken);
    $h->put('htdocs/cgi/app', ImxApp::cgi(), 0755);
    $h->put('htdocs/locked/file', "file\n");
    $h->put('htdocs/broken/file', "file\n");
    $h->put('htdocs/parts/page', 'a<!--#include virtual="/cgi/app/part?app='
        . $long . '" -->');
    $h->put('htdocs/big', 'x' x (30 * 1024 * 1024));
    return $h->start;
}

# ---- requests, all at once ----

sub connection {
    my ($h, $rcvbuf) = @_;
    my $s = IO::Socket::INET->new(Proto => 'tcp') or die "socket: $!";
    setsockopt $s, SOL_SOCKET, SO_RCVBUF, $rcvbuf if $rcvbuf;
    connect $s, pack_sockaddr_in($h->port, INADDR_LOOPBACK)
        or die "connect: $!";
    return $s;
}

sub header {
    my ($method, $target, @more) = @_;
    return join "\r\n", "$method $target HTTP/1.1", 'Host: imx.test',
        'Connection: close', @more, '', '';
}

# What it asks for, what it then waits for, and how.  A child shows eight at
# once: so there are two runs of them.
my @kinds = (
    { path => '/cgi/app/http1', query => "app=$long", wait => 'application' },
    { path => '/cgi/app/h2', query => "app=$long", wait => 'application',
        h2 => 1 },
    { path => '/proxy/app/behind', query => "app=$long",
        wait => 'application' },
    { path => '/cgi/app/upload', query => 'read', wait => 'client sends',
        upload => 1 },
    { path => '/big', query => 'x', wait => 'client takes', reads_late => 1 },
    { path => '/locked/file', query => 'x', wait => 'before the handler' },
);
my @more_kinds = (
    { path => '/cgi/app/late', query => "late=$long", wait => 'application' },
    { path => '/parts/page', query => 'x', wait => 'application' },
    { path => '/no-such-file', query => 'x', wait => 'application' },
    { path => '/cgi/app/refused', query => 'x', wait => 'application' },
    { path => '/cgi/app/off', query => "app=$long", wait => undef },
);

sub begin {
    my ($h, $kind) = @_;
    my $target = "$kind->{path}?$kind->{query}&$secret";
    my $r = { %$kind, of => $h, began => time };
    if ($kind->{h2}) {
        $r->{h2} = ImxH2->new($h->port);
        $r->{stream} = $r->{h2}->request('GET', $target);
        return $r;
    }
    $r->{socket} = connection($h, $kind->{reads_late} ? 4096 : 0);
    my $bytes = $kind->{upload}
        ? header('POST', $target, 'Content-Length: 8') . 'half'
        : header('GET', $target);
    syswrite $r->{socket}, $bytes;
    return $r;
}

# Goes on with it; its end is noted.
sub go_on {
    my ($r) = @_;
    return if $r->{ended};
    my $is_time = time - $r->{began} >= $long;
    if ($r->{h2}) {
        $r->{ended} = time if $r->{h2}->wait($r->{stream}, 0.01);
        return;
    }
    syswrite $r->{socket}, 'rest'
        if $r->{upload} && $is_time && !$r->{sent}++;
    return if $r->{reads_late} && !$is_time;
    while (IO::Select->new($r->{socket})->can_read(0)) {
        next if sysread $r->{socket}, my $bytes, 1 << 20;
        $r->{ended} = time;
        return;
    }
}

# One look at the page of each server; what is seen of the requests is noted.
sub look {
    my (@requests) = @_;
    my %h = map { ($_->{of}{mpm} => $_->{of}) } @requests;
    my $count = 0;
    for my $h (values %h) {
        my $before = time;
        my $s = figures($h);
        my $after = time;
        $count += @{ $s->{slow} };
        for my $r (grep { $_->{of} == $h } @requests) {
            my ($slow) = grep { ($_->{uri} // '') eq $r->{path} }
                @{ $s->{slow} } or next;
            $r->{seen} //= $after;
            $r->{last} = $before;
            $r->{waits}{ $slow->{waits_for} }++;
            $r->{slow} = $slow;
        }
    }
    return $count;
}

# Runs them all; $half_way is called with those of which one is seen.
sub run {
    my ($half_way, @requests) = @_;
    wait_until(10, sub {
        go_on($_) for @requests;
        look(@requests);
        return !grep { $_->{wait} && !$_->{seen} } @requests;
    });
    $half_way->();
    wait_until(30, sub {
        go_on($_) for @requests;
        return !look(@requests) && !grep { !$_->{ended} } @requests;
    });
}

# The page, in each rendering.
sub page {
    my ($h, $query) = @_;
    return get($h->url("/$query", 'figures'))->{content};
}

sub is_seen_rightly {
    my ($r) = @_;
    my $name = "$r->{of}{mpm}: $r->{path}";
    ok($r->{seen}, "$name is seen") or return;
    my ($after, $gone) = ($r->{seen} - $r->{began}, $r->{last} - $r->{ended});
    cmp_ok($after, '>=', 1, "$name: not before it is slow");
    cmp_ok($after, '<=', 2.3 * slow(), sprintf '%s: after %.2f s', $name,
        $after);
    cmp_ok($gone, '<=', 2 * slow(), sprintf '%s: gone %.2f s after its end',
        $name, $gone);
    # At its very beginning or end it may wait for something else.
    my ($most) = sort { $r->{waits}{$b} <=> $r->{waits}{$a} }
        keys %{ $r->{waits} };
    is($most, $r->{wait}, "$name: waits for $r->{wait}")
        or diag(explain($r->{waits}));
    is($r->{slow}{method}, $r->{upload} ? 'POST' : 'GET', "$name: method");
    is($r->{slow}{server}, 'imx.test', "$name: virtual host");
    cmp_ok(abs($r->{slow}{elapsed} - ($r->{last} - $r->{began})), '<=', 0.5
        * slow(), "$name: elapsed");
}

# A point while it runs, and one of its end, which knows exactly how long it
# took.
sub are_points_right {
    my ($mpm, $h, @requests) = @_;
    my @points;
    wait_until(20, sub {
        @points = $db->query('SELECT * FROM "slow-requests"', $mpm);
        return @points >= 2 * @requests;
    });
    is(scalar @points, 2 * @requests, "$mpm: two points of each");
    for my $r (@requests) {
        my $name = "$mpm: $r->{path}";
        my ($now, $end) = grep { $_->{uri} eq $r->{path} } @points;
        my ($log) = grep { $_->{path} eq $r->{path} } $h->access_log;
        isnt($now->{waits_for}, 'ended', "$name: a point while it runs");
        is($end->{waits_for}, 'ended', "$name: and one of its end");
        cmp_ok(abs($end->{elapsed} - $log->{us} / 1e6), '<=', 0.1 * slow(),
            sprintf '%s: after %.2f s', $name, $end->{elapsed});
        like($end->{process}, qr/:\d+$/, "$name: of a child");
    }
    is(scalar(grep { /$secret/ } map { values %$_ } @points), 0,
        "$mpm: no query in them");
    manual_ok($db, 'slow-requests', $mpm);
}

# How many were under way at most, and in the end, though a connection is kept.
sub are_counted {
    my ($mpm, $most) = @_;
    my @workers;
    wait_until(20, sub {
        @workers = $db->query('SELECT * FROM "worker-states"', $mpm);
        return $workers[-1]{in_flight} == 0;
    });
    is((sort { $b <=> $a } map { $_->{in_flight} // 0 } @workers)[0], $most,
        "$mpm: in_flight");
    is($workers[-1]{in_flight}, 0, "$mpm: none in the end");
}

sub keep {
    my ($h, $path, $times) = @_;
    my $s = connection($h);
    for (1 .. $times) {
        syswrite $s, "GET $path HTTP/1.1\r\nHost: x\r\n\r\n";
        sysread $s, my $answer, 4096;
    }
    return $s;
}

my %h = map { ($_ => server($_)) } qw(event worker prefork);
my @kept = map { keep($_, '/index.html', 1) } values %h;
my (%as, @all);
for my $kinds (\@kinds, \@more_kinds) {
    my @requests = map {
        my $mpm = $_;
        map { begin($h{$mpm}, $_) } grep { !$_->{h2} || $mpm ne 'prefork' }
            @$kinds;
    } sort keys %h;
    run(sub {
        for my $mpm (keys %h) {
            $as{$mpm} //= { map { $_ => page($h{$mpm}, $_) } '', '?auto' };
        }
    }, @requests);
    push @all, @requests;
}
is_seen_rightly($_) for grep { $_->{wait} } @all;
is(scalar(grep { !$_->{wait} && $_->{seen} } @all), 0,
    'none where InfluxMetrics is Off');

for my $mpm (sort keys %h) {
    like($as{$mpm}{''}, qr{Slow\ requests.*
        >/cgi/app/http1</td><td>application</td>}xs, "$mpm: in the page's table");
    like($as{$mpm}{'?auto'}, qr{^slow_request:\ [\d.]+\ s,
        \ waits\ for\ application,\ process\ \d+,
        \ imx\.test\ GET\ /cgi/app/http1$}mx, "$mpm: and as text");
    unlike(join('', values %{ $as{$mpm} }), qr/$secret/,
        "$mpm: without its query");
    are_points_right($mpm, $h{$mpm},
        grep { $_->{wait} && $_->{of} == $h{$mpm} } @all);
    are_counted($mpm, $mpm eq 'prefork' ? 5 : 6);
}

# A logger that breaks off leaves nothing behind.
push @kept, map { keep($_, '/broken/file', 3) } values %h;
nap(2.2);
is_deeply(figures($h{$_})->{slow}, [],
    "$_: nothing is left, though a logger breaks off") for sort keys %h;

# Whose child is killed.
my %lost = map { ($_ => begin($h{$_}, $kinds[0])) } keys %h;
wait_until(5, sub { look(values %lost); !grep { !$_->{seen} } values %lost });
for my $mpm (sort keys %h) {
    ok($h{$mpm}->kill_child($lost{$mpm}{slow}{pid}),
        "$mpm: its child is killed");
}
my $killed = time;
ok(wait_until(5 * slow(), sub { !look(values %lost) }),
    sprintf 'gone %.2f s after', time - $killed);
for my $mpm (sort keys %h) {
    accounts_ok($h{$mpm}, $mpm);
    ok($h{$mpm}->stop, "$mpm: stops");
    # ThreadSanitizer keeps signals back from who waits for prefork's accept
    # mutex, until it has it: then httpd asks some children again.
    # AH02430 is the header that httpd is to refuse.
    my $odd = $ENV{IMX_PRELOAD} ? qr/exit signal|lua|AH02430|AH0004[56]/i
        : qr/exit signal|lua|AH02430/i;
    is_deeply([grep { !/$odd/ } $h{$mpm}->complaints], [],
        "$mpm: no complaints");
}

# ---- without their paths ----

# One of bytes that are no characters is cut like any other.
{
    my $h = server('event');
    my $r = begin($h, { path => '/' . "\x80" x 120, query => 'x' });
    my $slow;
    ok(wait_until(5, sub { ($slow) = @{ figures($h)->{slow} }; $slow }),
        'a long path of bytes that are no UTF-8: seen');
    like($slow->{uri} // '', qr{^/\x{FFFD}{95}$}, '... with its path');
    is($h->stop, 1, '... and stops with it under way');
}

{
    my $h = server('event', conf => 'InfluxMetricsSlowPath Off');
    my $r = begin($h, $kinds[0]);
    my $slow;
    ok(wait_until(5, sub { ($slow) = @{ figures($h)->{slow} }; $slow }),
        'InfluxMetricsSlowPath Off: seen');
    is($slow->{uri}, undef, '... without its path');
    is($slow->{method}, 'GET', '... with all else');
    is(figures($h)->{workers}{in_flight}, 1, '... and counted');
    is($h->stop, 1, '... and stops with it under way');
}

finish();

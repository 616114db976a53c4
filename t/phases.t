# Where the time of a request went, and whose fault it was: what is slow shows
# in its own phase and nowhere else, whatever makes the answer and however it
# travels; the phases add up; bytes are those of the bodies.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxApp;
use ImxCurl;
use ImxTest;
use ImxTls;
use Test::More;

# What else this machine does must not take part in what is measured; only
# root may ask for that.
setpriority 0, 0, -10 if !$>;

my $db = influxd();
my @phases = qw(server_time application_time input_time output_time);
my $pause = 0.1;                # s, what is slow takes, at first
my $near;                       # s, and no other phase grows by more
my $tries = 9;                  # of each request: the machine has other work
my $body = 2000;                # bytes of a request
my $big = 2 * 1024 * 1024;      # bytes of a response: sockets don't hold it

# Authentication, slow when the query says so.
my $lua = <<'LUA';
require 'apache2'
function check(r)
    local seconds = (r.args or ''):match('auth=([%d.]+)')
    if seconds then r.usleep(math.floor(seconds * 1000000)) end
    r.user = 'somebody'
    return apache2.OK
end
LUA

my $fcgi = ImxApp->start('fcgi');
my $echo = ImxApp->start('echo');

my $conf = sub {
    my ($h) = @_;
    my ($dir, $behind) = ($h->dir, $h->port('behind.test'));
    return <<"CONF";
InfluxMetricsDatabase $h->{mpm}
InfluxMetricsInterval 100ms
InfluxMetricsFields +server_time +input_time +output_time +ttfb +bytes_received
InfluxMetricsFields +aborted +query
EnableSendfile On
SendBufferSize 65536
LuaScope thread
ScriptAlias /cgi/ $dir/htdocs/cgi/
<Directory $dir/htdocs/cgi>
Options +ExecCGI
</Directory>
WSGIScriptAlias /wsgi $dir/app.wsgi
WSGIScriptAlias /daemon $dir/app.wsgi
WSGIApplicationGroup %{GLOBAL}
WSGIChunkedRequest On
WSGIDaemonProcess behind processes=1 threads=4 home=$dir
<Location /daemon>
WSGIProcessGroup behind
</Location>
ProxyPass /proxy/ http://127.0.0.1:$behind/
ProxyPass /fcgi/ fcgi://127.0.0.1:@{[$fcgi->port]}/
<Location /deflate>
SetOutputFilter DEFLATE
</Location>
Alias /deflate $dir/htdocs/static
WSGIScriptAlias /packed $dir/app.wsgi
<Location /packed>
SetOutputFilter DEFLATE
</Location>
ProxyPass /upgrade/ http://127.0.0.1:@{[$echo->port]}/ upgrade=echo
ProxyPass /tunnel/ ws://127.0.0.1:@{[$echo->port]}/ upgrade=echo
<Directory $dir/htdocs/parts>
Options +Includes
SetOutputFilter INCLUDES
</Directory>
<Location /begun>
LuaMapHandler ^/begun $dir/begun.lua
ErrorDocument 500 /cgi/document
</Location>
<Location /cgi/refused>
Header set X-Y "a\x01b"
ErrorDocument 500 /cgi/document
</Location>
CONF
};

# A handler that has sent a piece when it fails, and then gets a document.
my $begun = <<'LUA';
function handle(r)
    r:puts('begun')
    r:flush()
    r.usleep(math.floor(r.args:match('app=([%d.]+)') * 1000000))
    return 500
end
LUA

# A script whose header httpd refuses while its output is passed on, in the
# middle of it or at its end, and the document for that, with the same words.
my $refused = <<'CGI';
#!/usr/bin/perl
$| = 1;
print "Content-Type: text/plain\r\n\r\n";
sleep 60 if $ENV{QUERY_STRING} =~ /hang/;
CGI
my $document = ImxApp::cgi() =~ s/\bQUERY_STRING/REDIRECT_QUERY_STRING/r;

sub server {
    my ($mpm) = @_;
    my $h2 = $mpm eq 'prefork' ? '' : "Protocols h2 h2c http/1.1\n";
    my $auth = sub { "<Location />\nAuthType Basic\nAuthName imx\nRequire "
        . "valid-user\nLuaHookCheckUserID $_[0]{dir}/check.lua check\n"
        . "</Location>\n" };
    my ($cert, $key) = ImxTls->new->issue('IP:127.0.0.1');
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, start => 0,
        children => $mpm eq 'prefork' ? 8 : 2, conf => $conf,
        modules => [qw(alias authn_core authz_user deflate filter headers
            include lua proxy proxy_fcgi proxy_http proxy_wstunnel ssl wsgi),
            $mpm eq 'prefork' ? 'cgi' : 'cgid',
            $h2 ? 'http2' : ()],
        vhosts => [
            'plain.test' => sub { $h2 . $auth->(@_) },
            'tls.test' => sub { $h2 . $auth->(@_) . "SSLEngine on\n"
                . "SSLCertificateFile $cert\nSSLCertificateKeyFile $key" },
            'behind.test' => sub { "InfluxMetrics Off\n"
                . 'WSGIScriptAlias / ' . $_[0]->dir . '/app.wsgi' }]);
    $h->put('check.lua', $lua);
    $h->put('begun.lua', $begun);
    $h->put('app.wsgi', ImxApp::wsgi());
    $h->put('htdocs/cgi/app', ImxApp::cgi(), 0755);
    $h->put('htdocs/cgi/refused', $refused, 0755);
    $h->put('htdocs/cgi/document', $document, 0755);
    $h->put('htdocs/static/app', "app\n");
    # Not to be made smaller.
    $h->put('htdocs/static/big', join '', map { chr rand 256 } 1 .. $big);
    return $h->start;
}

# What is slow takes longer from try to try, and so may what else happens: what a
# busy machine adds does not grow with it, what is measured in the wrong phase
# does.
sub begin_try {
    my ($h, $try) = @_;
    $pause = 0.1 * 2 ** ($try > 3 ? $try - 3 : 0);
    $near = $pause / 20;
    $h->put('htdocs/parts/late',
        qq{<!--#include virtual="/cgi/app?late=$pause" -->});
}

# How a request travels: the virtual host, and how to say it to curl.
my %way = (
    http1 => ['plain', '--http1.1', '-HExpect:'],
    continue => ['plain', '--http1.1', '-HExpect: 100-continue'],
    tls => ['tls', '--http1.1', '-HExpect:'],
    h2c => ['plain', '--http2-prior-knowledge'],
    h2 => ['tls', '--http2'],
);

# What it meets: in which phase that is to be seen, and how it is asked for.
my %slow = (
    none => [undef],
    upload => ['input_time', 'upload_pause'],
    application => ['application_time', undef, 'app'],
    authentication => ['server_time', undef, 'auth'],
    big => [undef],
    reader => ['output_time', 'read_pause'],
);

my $serial = 0;
my (%wanted, %bytes);

# One request; its point is found by the id in its query.
sub ask {
    my ($h, $kind, $way, $slow) = @_;
    my ($vhost, @flags) = @{ $way{$way} };
    my (undef, $pauses, $word) = @{ $slow{$slow} };
    my $static = $kind =~ /static|deflate/;
    my $is_big = $slow eq 'big' || $slow eq 'reader';
    my $name = $static && $is_big ? 'big' : 'app';
    my $id = ++$serial;
    my $query = "id=$id" . ($word ? "&$word=$pause" : '')
        . ($is_big ? "&big=$big" : '&read');
    my $url = $h->url("/$kind/$name?$query", "$vhost.test");
    $url =~ s/^http/https/ if $vhost eq 'tls';
    push @flags, '-HAccept-Encoding: gzip' if $kind eq 'deflate';
    my $r = ImxCurl::ask($url, flags => [qw(-k -u a:b), @flags, '-X',
        $static || $is_big ? 'GET' : 'POST'],
        ($is_big ? () : (upload => $body)),
        $pauses ? ($pauses => $pause) : ());
    $r->{paused} //= $pause;
    $bytes{$id} = [$r->{length}, $is_big ? 0 : $body, $kind, $way];
    return { id => $id, %$r };
}

# The points by their ids, when all of them are there.
sub collect {
    my ($database) = @_;
    my %point;
    wait_until(20, sub {
        my @rows = eval { $db->query('SELECT * FROM "raw-requests"',
            $database) };
        %point = map { ($_->{query} // '') =~ /^id=(\d+)/ ? ($1 => $_) : () }
            @rows;
        keys %point >= $wanted{$database};
    });
    return \%point;
}

# Each phase at its least.
sub least {
    my (@points) = @_;
    my %least;
    for my $p (@points) {
        for (@phases) {
            my $value = $p->{$_} // 0;
            $least{$_} = $value if !defined $least{$_} || $value < $least{$_};
        }
    }
    return \%least;
}

# The phases of a point without the seconds that were imposed on them.
sub without {
    my ($p, %imposed) = @_;
    return { map { $_ => ($p->{$_} // 0) - ($imposed{$_} // 0) } @phases };
}

# Phases that are longer than they are without a delay.
sub too_long {
    my ($p, $base) = @_;
    return grep { $p->{$_} - ($base->{$_} // 0) > $near } @phases;
}

sub show {
    my ($p) = @_;
    return join ' ', map { sprintf '%s %.6f', $_, $p->{$_} // -1 } @phases,
        qw(request_time ttfb);
}

# Everything that can be slow, for each kind of handler and way.
sub cases {
    my ($kinds, $ways) = @_;
    my @cases;
    for my $kind (@$kinds) {
        for my $slow (qw(upload application authentication reader)) {
            my $file = $kind =~ /static|deflate/;
            next if $file && $slow eq 'application';
            # HTTP/2 answers without waiting for what nobody reads.
            push @cases, map { {
                name => "$kind $_ $slow", kind => $kind, way => $_,
                slow => $slow, own => $slow{$slow}[0],
                none => $slow eq 'reader' ? 'big' : 'none',
            } } grep { !($file && $slow eq 'upload' && /^h2/) } @$ways;
        }
    }
    return @cases;
}

# What was seen with a shorter pause counts no more.
sub tried {
    my ($case) = @_;
    @$case{qw(pause seen without)} = ($pause, 0, [])
        if ($case->{pause} // 0) != $pause;
}

# Looks at one more try.  A delay is there when it was seen once; it is nowhere
# else when each phase was once without it.  A reader that reads on behind its
# pause takes a while for that, too.
sub judge {
    my ($case, $p, $bases) = @_;
    my ($asked, $own) = @$case{qw(asked own)};
    my $most = $asked->{paused} + ($own eq 'output_time' ? $asked->{rest} : 0);
    my $base = least(@$bases);
    tried($case);
    push @{ $case->{without} }, without($p, $own => $most);
    $case->{seen} ||= $p->{$own} >= $asked->{paused} - $near;
    my @wrong = too_long(least(@{ $case->{without} }), $base);
    $case->{good} = $case->{seen} && !@wrong;
    $case->{why} = ($case->{seen} ? '' : 'too short ') . "@wrong\n"
        . show($p) . "\nwithout a delay " . show($base);
}

# Asks for all of them, and for the same without a delay.
sub try_once {
    my ($h, $bases, @cases) = @_;
    my %undelayed;
    for my $case (@cases) {
        my ($kind, $way, $none) = @$case{qw(kind way none)};
        $undelayed{"$kind $way $none"} //= ask($h, $kind, $way, $none);
        $case->{asked} = ask($h, $kind, $way, $case->{slow});
    }
    $wanted{ $h->{mpm} } += @cases + keys %undelayed;
    my $point = collect($h->{mpm});
    push @{ $bases->{$_} }, $point->{ $undelayed{$_}{id} } // ()
        for keys %undelayed;
    for my $case (@cases) {
        my $p = $point->{ $case->{asked}{id} } or next;
        judge($case, $p, $bases->{"@$case{qw(kind way none)}"});
    }
}

sub measure {
    my ($h, $kinds, $ways) = @_;
    my @cases = cases($kinds, $ways);
    my @open = @cases;
    my %bases;
    for my $try (1 .. $tries) {
        last if !@open;
        begin_try($h, $try);
        try_once($h, \%bases, @open);
        @open = grep { !$_->{good} } @open;
    }
    ok($_->{good}, "$h->{mpm}: $_->{name}") or diag $_->{why} for @cases;
}

# ---- what needs a client that says each byte ----

sub head {
    my ($method, $path, $more) = @_;
    return "$method $path HTTP/1.1\r\nHost: imx.test\r\n"
        . "Authorization: Basic YTpi\r\n" . ($more // '') . "\r\n";
}

my $close = "Connection: close\r\n";
my $length = "Content-Length: $body\r\n";
my $upgrade = "Upgrade: echo\r\nConnection: Upgrade\r\n";

sub simple { [head('GET', $_[0], $close)] }

# A body of a known length that pauses in its middle.
sub late_body {
    my $head = head('POST', $_[0], $length . $close);
    return [$head . 'x' x $body, pause => [length($head) + $body / 2, $pause]];
}

# A body that pauses twice, on a connection that goes on: an application that
# does not wait for it has answered before the second time.
sub later_body {
    my $head = head('POST', $_[0], $length);
    my $at = length $head;
    return [$head . 'x' x $body . head('GET', '/static/app', $close), pause =>
        [map { $at + $_ => $pause } $body / 4, $body / 2]];
}

# A body in chunks that pauses before its very last line.
sub late_trailer {
    my $text = head('POST', $_[0], "Transfer-Encoding: chunked\r\n$close")
        . "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    return [$text, pause => [length($text) - 2, $pause]];
}

# The second request comes later, on the same connection.
sub twice {
    my ($path, $first) = @_;
    return [$first . head('GET', $path, $close),
        pause => [length $first, $pause]];
}

# A connection that is switched to another protocol, pauses, and ends.
sub switch {
    my $head = head('GET', $_[0], $upgrade);
    return ["${head}hello\n", pause => [length $head, $pause],
        half_close => 1];
}

# A client that takes nothing of what it asked for, and is gone.
sub no_reader {
    [head('GET', $_[0]), rcvbuf => 4096, read_pause => $pause, read => 0];
}

# A client that is gone in the middle of its body.
sub half_a_body {
    my $text = head('POST', $_[0], $length) . 'x' x 500;
    return [$text, pause => [length $text, $pause], read => 0];
}

sub half_a_chunk {
    my $text = head('POST', $_[0], "Transfer-Encoding: chunked\r\n")
        . "3e8\r\n" . 'x' x 500;
    return [$text, pause => [length $text, $pause], read => 0];
}

my %app = (slow => { application_time => 1 });
my %late = (slow => { application_time => 2 });
my %input = (slow => { input_time => 1 });
# httpd reads on what the application left, as the connection goes on.
sub unread_body {
    my ($bytes, %o) = @{ late_body(@_) };
    $bytes =~ s/\Q$close//;
    $o{pause}[0] -= length $close;
    return [$bytes . head('GET', '/static/app', $close), %o];
}

my @edges = (
    ['a pause before the request', '/static/app', sub { twice($_[0],
        head('GET', '/static/app')) }, is => [200, 4, 0]],
    ['a pause in the header', '/static/app', sub {
        my ($text) = @{ simple(@_) };
        return [$text, pause => [length($text) - 2, $pause]];
    }, slow => { server_time => 1 }, is => [200, 4, 0]],
    (map { ["a body of a known length: $_", "/$_/app?read", \&late_body, %input,
        is => [200, 4, $body]] } qw(cgi wsgi daemon proxy fcgi)),
    (map { ["a body in chunks: $_", "/$_/app?read", \&late_trailer, %input,
        is => [200, 4, 11]] } qw(cgi wsgi daemon proxy fcgi)),
    (map { ["a body that nobody reads: $_", "/$_/app", \&unread_body, %input,
        is => [200, 4, $body]] } qw(wsgi daemon proxy)),
    ['a body that is longer than the answer', '/fcgi/app', \&later_body,
        slow => { input_time => 1 }, is => [200, 4, $body]],
    (map { ["an answer in pieces: $_", "/$_/app?late=PAUSE", \&simple, %late,
        is => [200, 4, 0]] } qw(cgi wsgi daemon proxy fcgi)),
    ['compressed', '/packed/app?app=PAUSE', sub {
        [head('GET', $_[0], "${close}Accept-Encoding: gzip\r\n")] }, %app],
    ['compressed in pieces', '/packed/app?late=PAUSE', sub {
        [head('GET', $_[0], "${close}Accept-Encoding: gzip\r\n")] }, %late],
    ['included', '/parts/late', \&simple, %late, is => [200, 4, 0]],
    ['a range', '/static/big', sub { [head('GET', $_[0],
        "${close}Range: bytes=100-299\r\n")] }, is => [206, 200, 0]],
    ['HEAD', '/static/big', sub { [head('HEAD', $_[0], $close)] },
        is => [200, 0, 0]],
    ['refused at its end, and a document', '/cgi/refused?app=PAUSE', \&simple,
        %app, is => [500, 4, 0]],
    ['refused in pieces, and a document', '/cgi/refused?hang&late=PAUSE',
        \&simple, %late, is => [500, 4, 0]],
    ['refused in pieces, and a late document', '/cgi/refused?hang&app=PAUSE',
        \&simple, %app, ttfb => 'late', is => [500, 4, 0]],
    ['failed behind a piece, and a late document', '/begun?app=PAUSE', \&simple,
        %late, ttfb => 'early'],
    ['a client that is gone', "/wsgi/app?big=$big", \&no_reader,
        slow => { output_time => 1 }, aborted => 1],
    ['a client that is gone: file', '/static/big', \&no_reader,
        slow => { output_time => 1 }, aborted => 1],
    (map { ["a body that is broken off: $_", "/$_/app?read", \&half_a_body,
        %input, aborted => 1] } qw(cgi wsgi daemon proxy fcgi)),
    ['a chunk that is broken off', '/wsgi/app?read', \&half_a_chunk, %input,
        aborted => 1],
    (map { ["switched by $_", "/$_/", \&switch, %app, no_ttfb => 1,
        is => [101, undef, 0]] } qw(upgrade tunnel)),
    ['switched after a slow authentication', '/upgrade/?auth=PAUSE', \&switch,
        slow => { server_time => 1 }, no_ttfb => 1, is => [101, undef, 0]],
);

# As judge() does it.  What a process takes to start is no delay of ours.
sub judge_edge {
    my ($e, $p) = @_;
    my %imposed = map { $_ => $e->{paused} || $pause * $e->{slow}{$_} }
        keys %{ $e->{slow} };
    tried($e);
    push @{ $e->{without} }, without($p, %imposed);
    $e->{seen} ||= !grep { $p->{$_} < $imposed{$_} - $near } keys %imposed;
    $e->{wrong} = join ' ', too_long(least(@{ $e->{without} }),
        { application_time => 0.1 });
    $e->{good} = $e->{seen} && !$e->{wrong};
    $e->{point} = $p;
}

sub try_edges {
    my ($h, @edges) = @_;
    for my $e (@edges) {
        my ($file, $words) = split /\?/, $e->{path} =~ s/PAUSE/$pause/r;
        $e->{id} = ++$serial;
        my ($bytes, %o) = @{ $e->{client}->("$file?id=$e->{id}&"
            . ($words // '')) };
        raw($h->port('plain.test'), $bytes, %o, paused => \$e->{paused});
    }
    $wanted{ $h->{mpm} } += @edges;
    my $point = collect($h->{mpm});
    $point->{ $_->{id} } && judge_edge($_, $point->{ $_->{id} }) for @edges;
}

sub edges {
    my ($h, @all) = @_;
    my @edges = map {
        my ($name, $path, $client, %more) = @$_;
        { name => $name, path => $path, client => $client, slow => {}, %more };
    } @all;
    my @open = @edges;
    for my $try (1 .. $tries) {
        last if !@open;
        begin_try($h, $try);
        try_edges($h, @open);
        @open = grep { !$_->{good} } @open;
    }
    edge_is("$h->{mpm}: $_->{name}", $_) for @edges;
}

sub edge_is {
    my ($name, $e) = @_;
    subtest $name => sub {
        my $p = $e->{point};
        ok($p, 'has a point') or return;
        ok($e->{seen}, 'the delay is there') or diag show($p);
        is($e->{wrong}, '', '... and nowhere else') or diag show($p);
        ok(!!$p->{aborted} == !!$e->{aborted}, 'aborted');
        is(defined $p->{ttfb} ? 1 : 0, $e->{no_ttfb} ? 0 : 1, 'ttfb');
        is($p->{ttfb} > $p->{application_time} / 4 ? 'late' : 'early',
            $e->{ttfb}, 'ttfb is that of what was sent') if $e->{ttfb};
        my ($status, $sent, $received) = @{ $e->{is} // [] };
        is($p->{status}, $status, 'status') if defined $status;
        is($p->{bytes_sent}, $sent, 'bytes_sent') if defined $sent;
        is($p->{bytes_received}, $received, 'bytes_received')
            if defined $received;
    };
}

# An answer that is refused in pieces, and a large document that its client
# takes late: what the document waits for is counted once.
sub refused_late {
    my ($h) = @_;
    my ($p, $is_good);
    for my $seconds (1, 2, 4, 8) {
        my $id = ++$serial;
        $wanted{ $h->{mpm} }++;
        raw($h->port('plain.test'), head('GET', "/cgi/refused?id=$id&hang"
            . "&big=$big", $close), rcvbuf => 4096, read_pause => $seconds);
        $p = collect($h->{mpm})->{$id};
        $is_good = $p->{output_time} >= $seconds / 2
            && $p->{application_time} >= 0
            && $p->{application_time} <= $seconds / 2;
        last if $is_good;
    }
    ok($is_good, "$h->{mpm}: refused in pieces, and a document taken late")
        or diag show($p);
}

# Bytes of the bodies, as the client has counted them.  HTTP/2 does not take
# a body that nobody reads: curl may give up then.
sub bytes_are {
    my ($name, $point) = @_;
    my ($n, @wrong) = (0);
    for my $id (grep { $bytes{$_} } sort { $a <=> $b } keys %$point) {
        my ($sent, $received, $kind, $way) = @{ $bytes{$id} };
        my $p = $point->{$id};
        next if $kind =~ /static|deflate/ && $way =~ /^h2/ && $received;
        $n++;
        push @wrong, "$kind $way: sent $p->{bytes_sent} of $sent, received "
            . "$p->{bytes_received} of $received"
            . ($p->{aborted} ? ', aborted' : '')
            if $p->{bytes_sent} != $sent || $p->{bytes_received} != $received
            || $p->{aborted};
    }
    ok($n > 0 && !@wrong, "$name: bytes of $n bodies")
        or diag join "\n", @wrong;
}

# What holds for every point, however it went.
sub invariants {
    my ($mpm, $points) = @_;
    my (@sum, @ttfb);
    for my $p (@$points) {
        my $sum = 0;
        $sum += $p->{$_} // 0 for @phases;
        push @sum, $p if abs($sum - $p->{request_time}) > 6e-6
            || grep { ($p->{$_} // 0) < 0 } @phases;
        push @ttfb, $p if defined $p->{ttfb}
            && ($p->{ttfb} < $p->{server_time} - 1e-6
                || $p->{ttfb} > $p->{request_time} + 1e-6);
    }
    is(scalar @$points, $wanted{$mpm}, "$mpm: a point for each request");
    is(scalar @sum, 0, "$mpm: the phases of every point add up")
        or diag map { "$_->{query}: " . show($_) . "\n" } @sum;
    is(scalar @ttfb, 0, "$mpm: ttfb is within every request")
        or diag map { "$_->{query}: " . show($_) . "\n" } @ttfb;
}

for my $mpm (qw(event prefork)) {
    my $h = server($mpm);
    if ($mpm eq 'event') {
        measure($h, [qw(static deflate cgi wsgi daemon proxy fcgi)],
            [qw(http1 h2)]);
        measure($h, [qw(static wsgi)], [qw(continue tls h2c)]);
        edges($h, @edges);
        refused_late($h);
    }
    else {
        measure($h, ['cgi'], ['http1']);    # event has mod_cgid
        refused_late($h);
    }
    my $point = collect($mpm);
    bytes_are($mpm, $point);
    invariants($mpm, [values %$point]);
    ok($h->stop, "$mpm: stops");
}

finish();

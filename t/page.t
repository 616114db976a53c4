# The page as the server writes it: filled without a script, whatever the names
# in it are; its policy, which has the hashes of its style and its script and
# allows nothing else; what a browser may keep.  (t/page-browser.t has one.)
use strict;
use warnings;
use Digest::SHA qw(sha256);
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxNames;
use ImxTest;
use MIME::Base64 qw(encode_base64);
use Test::More;

my $db = influxd();

sub hash { return "'sha256-" . encode_base64(sha256($_[0]), '') . "'" }

# Text of the cells of a table's rows.
sub rows {
    my ($html, $id) = @_;
    my ($body) = $html =~ m{id="\Q$id\E".*?<tbody>(.*?)</tbody>}s;
    return map { [map { s/<[^>]*>//gr } m{<t[hd][^>]*>(.*?)</t[hd]>}gs] }
        ($body // '') =~ m{<tr.*?</tr>}gs;
}

sub filled {
    my $h = httpd(module => 1, influx => $db, modules => ['status'],
        report => 'processes=1s',
        vhosts => ['one.example.org' => '', 'two.example.org' => ''],
        conf => <<'CONF');
InfluxMetricsDatabase page
<Location /status>
SetHandler influx-metrics
</Location>
CONF
    $h->put('htdocs/a.html', 'a');
    ok(wait_until(20, sub {
        get($h->url('/a.html', 'one.example.org')) for 1 .. 5;
        get($h->url('/none', 'two.example.org'));
        (rows(get($h->url('/status'))->{content}, 'hosts'))[2];
    }), 'three virtual hosts are in the page');
    ok(wait_until(20, sub { status($h)->{points_sent} }), 'points are sent');
    my $html = get($h->url('/status'))->{content};
    my %host = map { $_->[0] => $_ } rows($html, 'hosts');
    cmp_ok($host{'one.example.org'}[1], '>', 0, 'requests a second');
    like($host{'one.example.org'}[$_], qr/^[\d.]+ (?:µs|ms|s)$/, 'a time')
        for 3 .. 5;
    like($host{'one.example.org'}[6], qr/^[\d.]+ %$/, 'its share of busy time');
    like($html, qr{<li class="(well|warning)">.*InfluxDB took the last points}s,
        'the words');
    like($html, qr{id="tile-requests">[\d.]+<}, 'a tile');
    like($html, qr{id="tile-p99">[\d.]+ (?:µs|ms|s)<}, 'another one');
    like($html, qr{<dt>waiting</dt><dd>\d+</dd>}, 'workers');
    is(scalar(grep { $_->[1] =~ /^\d+$/ } rows($html, 'processes')), 3,
        'processes: two children and the parent');
    my %figure = map { $_->[0] => $_->[1] } rows($html, 'delivery');
    like($figure{'Points recorded'}, qr/^\d+$/, 'delivery');
    my $sum = 0;
    $sum += $figure{"Points $_"} for 'that InfluxDB has', 'in the buffer',
        'in the spool', 'that InfluxDB refused', 'lost';
    is($sum, $figure{'Points recorded'}, '... with its sum');
    like($html, qr{id="still">Figures of [\d-]+ [\d:]+ UTC\.},
        'and of which moment this is');
    return $h;
}

sub policy {
    my ($h) = @_;
    my $answer = get($h->url('/status'));
    my ($html, $policy) = ($answer->{content},
        $answer->{headers}{'content-security-policy'});
    my ($style) = $html =~ m{<style>(.*?)</style>}s;
    my ($script) = $html =~ m{<script>(.*?)</script>}s;
    is($policy, "default-src 'none'; script-src " . hash($script)
        . '; style-src ' . hash($style) . "; connect-src 'self'; "
        . "img-src data:; base-uri 'none'; form-action 'none'; "
        . "frame-ancestors 'self'", 'the policy has the hashes, no unsafe-...');
    my ($within) = $html =~ m{http-equiv="Content-Security-Policy" content="(.*?)"};
    is("$within; frame-ancestors 'self'", $policy,
        'and the document says it, too, for when it is saved');
    is(scalar(() = $html =~ /<script/g), 1, 'one script');
    is(scalar(() = $html =~ m{\s(?:on\w+|style)=}g), 0, 'no attribute to run');
    is_deeply([grep { !m{^(?:data:|\?)} } $html =~ m{\s(?:src|href)="(.*?)"}g],
        [], 'nothing from elsewhere');
    like($html, qr{MIT License.*Permission is hereby granted}si,
        q{uPlot's licence is in it});
}

sub kept {
    my ($h) = @_;
    my $first = get($h->url('/status'));
    my $tag = $first->{headers}{etag};
    like($tag, qr{^W/"[\w.-]+"$}, 'a weak tag');
    is($first->{headers}{'cache-control'}, 'no-cache', 'asked for each time');
    for my $has ($tag, "\"other\", $tag", $tag =~ s/"$/-gzip"/r, '*') {
        my $answer = http('GET', $h->url('/status'),
            { headers => { 'If-None-Match' => $has } });
        is($answer->{status}, 304, "$has: is still right");
        is($answer->{headers}{etag}, $tag, '... and that is said');
        is($answer->{content} // '', '', '... in no more words');
    }
    for my $case (['/status', '"other"'], ['/status?html', $tag],
        ['/status?json', $tag]) {
        my ($path, $has) = @$case;
        is(http('GET', $h->url($path),
            { headers => { 'If-None-Match' => $has } })->{status}, 200,
            "$path with $has: anew");
    }
    for my $query (qw(?html ?json ?text)) {
        my $headers = get($h->url("/status$query"))->{headers};
        is($headers->{'cache-control'}, 'no-store', "$query: not kept");
        is($headers->{etag}, undef, '... nor named');
    }
    like($first->{content}, qr{<noscript>.*url=\?html},
        'without a script a browser goes where nothing is kept');
    unlike(get($h->url('/status?html'))->{content}, qr{<noscript>},
        '... and stays there');
    my $head = http('HEAD', $h->url('/status'));
    is($head->{headers}{etag}, $tag, 'HEAD has the tag');
    is($head->{content} // '', '', '... and no body');
}

# Whatever they are called: they are text, in HTML and in JSON.
sub names {
    my $h = ImxNames::server(influx => $db);
    ok(wait_until(20, sub {
        ImxNames::ask($h);
        my @rows = rows(get($h->url('/status?html'))->{content}, 'hosts');
        @rows > @ImxNames::names;
    }), 'hosts with odd names are in the page');
    my $held = ImxNames::hold($h,
        '/%3Cimg%20src=x%20onerror=alert(4)%3E%0A%FF?secret');
    my @slow;
    ok(wait_until(20, sub {
        @slow = rows(get($h->url('/status?html'))->{content}, 'slow');
    }), 'a slow request is in the page');
    is_deeply([@{ $slow[0] }[1 .. 4]], ['GET', $ImxNames::names[0]
            =~ s/</&lt;/gr =~ s/>/&gt;/gr,
        qq{/held/&lt;img src=x onerror=alert(4)&gt; \xEF\xBF\xBD},
            'application'],
        '... with its host and its path as text, without its query');
    my $html = get($h->url('/status?html'))->{content};
    like($html, qr{id="note-slow">oldest [\d.]+ s<}, '... in its tile, too');
    is(scalar(() = $html =~ /<script/g), 1, 'still one script');
    is(scalar(() = $html =~ /<img/g), 0, 'no element of a name');
    unlike($html, qr/[\x00-\x08\x0b-\x1f\x7f]/, 'no control character');
    like($html, qr/&lt;script&gt;alert\(1\)/, 'but its letters');
    for ($html, get($h->url('/status?text'))->{content}) {
        like($_, qr/onerror=alert\(4\)/, 'the path is there');
        ok(utf8::decode(my $copy = $_), '... and all is UTF-8');
    }
    my $json = status($h);
    ok($json, 'the JSON is JSON');
    is(scalar(grep { $_->{name} =~ /\A<script>/ } @{ $json->{hosts} }), 1,
        '... with the name as it is');
}

# A name of 8 KB makes no point: httpd says so, and does not start.
sub too_long {
    my $h = httpd(module => 1, influx => $db, start => 0,
        vhosts => ['l' . 'o' x 8190 . 'ng' => '']);
    is(eval { $h->start; 1 }, undef, 'a name of 8 KB: httpd does not start');
    like(join("\n", $h->error_log), qr/IMX0014/, '... and says why');
}

my $h = filled();
policy($h);
kept($h);
names();
too_long();
finish();

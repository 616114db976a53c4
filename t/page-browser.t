# The page in a browser, a headless Chromium: under load, in both themes, narrow
# and wide, without JavaScript, with odd names, when the server is gone, and
# saved.  What it shows is what InfluxDB has.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxBrowser;
use ImxNames;
use ImxTest;
use JSON::PP ();
use Test::More;

plan skip_all => 'there is no Chromium' if !ImxBrowser::program();

my $db = influxd();
my $browser = ImxBrowser->new;
my $h = httpd(module => 1, influx => $db, children => 2, threads => 8,
    modules => [qw(rewrite headers auth_basic authn_core authn_file authz_user)], report => 'requests=1s processes=1s', vhosts => [
        'one.example.org' => '',
        'two.example.org' => "RewriteEngine On\nRewriteRule ^/bad - [R=503]",
    ], conf => <<'CONF');
<Location /status>
SetHandler influx-metrics
</Location>
<Location /for-a-user>
SetHandler influx-metrics
AuthType Basic
AuthName page
AuthUserFile users
Require user app
</Location>
<Location /strict>
SetHandler influx-metrics
Header always set Content-Security-Policy "default-src 'self'"
</Location>
CONF
$h->put('users', "app:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");    # secret

my $HOSTS = q{[...document.querySelectorAll('#hosts tbody tr')]};
my $WORDS = q{document.getElementById('words').textContent};

sub text { return $_[0]->eval("document.getElementById('$_[1]').textContent") }

sub quiet {
    my ($page, $name) = @_;
    is(join("\n", $page->messages), '', "$name: nothing on the console");
}

sub only_here {
    my ($page, $base, $name) = @_;
    is_deeply([grep { !/^(?:data:|\Q$base\E)/ } $page->requests], [],
        "$name: no request to elsewhere");
}

sub fits {
    my ($page, $name) = @_;
    my ($is, $may) = @{ $page->eval('[document.documentElement.scrollWidth,'
        . ' innerWidth]') };
    cmp_ok($is, '<=', $may, "$name: no wider than the window");
}

# ---- what axe-core finds ----

my $axe = do {
    my $file = `sh @{[ top() ]}/tools/build-judges.sh axe`;
    chomp $file;
    $? == 0 ? { code => slurp($file) } : { why => $file };
};

sub accessible {
    my ($page, $name) = @_;
    SKIP: {
        skip "axe-core is not there: $axe->{why}", 1 if $axe->{why};
        $page->eval($axe->{code} . ';0');
        my $found = $page->eval(<<'JS');
axe.run().then(r => r.violations.filter(v => /serious|critical/.test(v.impact))
    .map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 200)).join(' ')))
JS
        is_deeply($found, [], "$name: axe-core finds nothing serious");
    }
}

# ---- the page under load ----

sub under_load {
    my @load = (
        client(port => $h->port('one.example.org'), n => 300, c => 2, rate => 20),
        client(port => $h->port('two.example.org'), n => 60, c => 1, rate => 8,
            path => '/bad'),
    );
    my $page = $browser->page(width => 1280);
    $page->go($h->url('/status'));
    ok($page->until(20, "$HOSTS.length >= 3"), 'the virtual hosts are there');
    ok($page->until(20, q{+document.getElementById('tile-requests').textContent > 10}),
        'the tile of requests moves') or diag text($page, 'tile-requests');
    ok($page->until(20, q{parseFloat(document.getElementById('tile-errors').textContent) > 5}),
        'and that of errors');
    ok($page->until(20, q{document.querySelectorAll('.plot canvas').length == 4}),
        'four charts');
    # A second that nobody has closed has none.
    ok(wait_until(20, sub { text($page, "last-$_->[0]") =~ $_->[1] }),
        "under it its last values: $_->[0]") or diag text($page, "last-$_->[0]")
        for ['requests', qr/^Last: \d\d:\d\d:\d\d *requests.s [\d.,]+ *errors.s \(5xx\) [\d.]+/],
        ['latency', qr/p50 [\d.]+ \S+s *p95 [\d.]+ \S+s *p99 [\d.]+/],
        ['heat', qr/half of the requests took at most [\d.]+/],
        ['workers', qr/busy [\d.]+ *waiting for a worker \d+/];
    ok($page->eval(<<'JS'), 'the heatmap has colours');
(() => { const c = document.querySelector('#plot-heat canvas');
    const d = c.getContext('2d').getImageData(70, 0, c.width - 80, c.height - 30).data;
    let n = 0; for (let i = 0; i < d.length; i += 4) n += d[i + 3] > 200 && d[i + 2] - d[i] > 20;
    return n > 20; })()
JS
    accessible($page, '1280, light');
    fits($page, '1280');
    $page->settings(dark => 1);
    accessible($page, '1280, dark');
    $page->settings(dark => 0);
    for my $l (@load) {
        my $r = $l->wait;
        is($r->{broken}, 0, 'all requests were answered');
    }
    return $page;
}

# ---- it shows what InfluxDB has ----

sub saved_file {
    my ($page) = @_;
    my $dir = work_dir() . '/saved' . int rand 1e9;
    mkdir $dir or die "$dir: $!";
    $page->call('Browser.setDownloadBehavior',
        { behavior => 'allow', downloadPath => $dir });
    $page->eval(q{document.getElementById('save').click()});
    my $file;
    wait_until(10, sub { ($file) = glob "$dir/*.html" })
        or diag 'nothing was saved: ', join ' ', glob "$dir/*";
    return $file;
}

# The figures in what would be saved, without a file: Chromium refuses the
# eleventh that nobody asked for.
sub figures_of {
    my ($page) = @_;
    my $text = $page->eval(<<'JS');
(() => { const make = URL.createObjectURL; let text = '';
    URL.createObjectURL = blob => { text = blob.text(); return ''; };
    HTMLAnchorElement.prototype.click = () => {};
    document.getElementById('save').click();
    URL.createObjectURL = make; delete HTMLAnchorElement.prototype.click;
    return text; })()
JS
    my ($json) = $text
        =~ m{<script type="application/json" id="saved">(.*?)</script>}s;
    return $json ? JSON::PP->new->decode($json) : {};
}

sub sum {
    my $sum = 0;
    $sum += $_ // 0 for @{ $_[0] // [] };
    return $sum;
}

sub same_as_influxdb {
    my ($page) = @_;
    my (%page, %db);
    # One interval later all of it is there.
    ok(wait_until(20, sub {
        my $series = figures_of($page)->{series}{'10m'};
        %page = map { $_ => [sum($series->{hosts}{$_}{requests}),
            sum($series->{hosts}{$_}{errors})] } grep { /example/ }
            keys %{ $series->{hosts} };
        %db = map { $_->{server} => [@$_{qw(requests errors)}] } $db->query(
            'SELECT sum("request_count") AS requests, sum("status_5xx") AS '
            . 'errors FROM "request-metrics" WHERE "server" =~ /example/ '
            . 'GROUP BY "server"', 'httpd');
        return ($page{'one.example.org'}[0] // 0) == 300
            && JSON::PP->new->canonical->encode(\%page)
                eq JSON::PP->new->canonical->encode(\%db);
    }), 'requests and errors of each host are those in InfluxDB')
        or diag explain [\%page, \%db];
    is($page{'two.example.org'}[1], 60, '... and those that failed');
    my %figure = @{ $page->eval(q{[...document.querySelectorAll('#delivery td')]
        .flatMap(td => [td.dataset.figure, td.textContent.replace(/,/g, '')])}) };
    cmp_ok($figure{points_recorded}, '>', 360, 'delivery is renewed');
    is($figure{points_recorded}, sum([@figure{map { "points_$_" }
        qw(sent pending spooled rejected dropped)}]), '... with its sum');
}

# What came a second at a time is what the server has of these seconds: none is
# left out, none is another's.
sub each_second {
    my ($page) = @_;
    my %shown;
    ok(wait_until(30, sub {
        my $series = figures_of($page)->{series}{'10m'};
        %shown = map { $series->{time}[$_] => $series->{requests}[$_] }
            grep { $series->{step}[$_] == 1 } 0 .. $#{ $series->{time} };
        return keys %shown >= 10;
    }), 'seconds came one at a time');
    my $known = JSON::PP::decode_json(
        get($h->url('/status?json&since=0'))->{content})->{seconds};
    my ($first, $last) = (sort { $a <=> $b } keys %shown)[0, -1];
    my %known = map { $known->{time}[$_] => $known->{requests}[$_] }
        grep { $known->{time}[$_] >= $first && $known->{time}[$_] <= $last }
        0 .. $#{ $known->{time} };
    is_deeply(\%shown, \%known, '... each, with what the server has of it');
}

# ---- what can be chosen ----

sub press {
    my ($page, $key, $code) = @_;
    $page->call('Input.dispatchKeyEvent', { type => $_, key => $key,
        code => $key, windowsVirtualKeyCode => $code,
        $_ eq 'keyDown' && $code == 13 ? (text => "\r") : () })
        for qw(keyDown keyUp);
}

sub chosen {
    my ($page) = @_;
    $page->eval(q{document.querySelector('#hosts [data-key=name] button').focus()});
    press($page, 'Enter', 13);
    is($page->eval(q{document.querySelector('#hosts [data-key=name]').ariaSort}),
        'ascending', 'a table is sorted by the keyboard');
    press($page, 'Enter', 13);
    is($page->eval(q{document.querySelector('#hosts [data-key=name]').ariaSort}),
        'descending', '... and the other way round');
    is_deeply($page->eval("$HOSTS.map(r => r.cells[0].textContent)"),
        [qw(two.example.org one.example.org imx.test)], '... all of it');
    $page->eval(q{{ const h = document.getElementById('host'); h.value = 'two.example.org';
        h.dispatchEvent(new Event('change')) }});
    is(text($page, 'note-p50'), 'two.example.org', 'a host is picked');
    $page->eval(q{document.querySelector('[data-span="24h"]').click()});
    my $hash = $page->eval('location.hash');
    is($hash, '#span=24h&host=two.example.org&hosts=-name', 'the URL says all');
    ok($page->until(10, q{document.getElementById('last-requests').textContent.includes('Last')}),
        '24 hours are drawn');
    my $other = $browser->page(width => 390, dark => 1, calm => 1);
    $other->go($h->url("/status$hash"));
    ok($other->until(20, "$HOSTS.length >= 3"), 'the link elsewhere');
    is($other->eval(q{document.querySelector('[aria-pressed=true]').textContent
        + document.getElementById('host').value}), '24 htwo.example.org',
        '... shows the same');
    fits($other, '390');
    accessible($other, '390, dark');
    $other->settings(dark => 0);
    accessible($other, '390, light');
    fits($other, '390, light');
    quiet($other, '390');
    $other->close;
}

sub asks_in {
    my ($page, $seconds) = @_;
    my $before = () = $page->requests;
    nap($seconds);
    $page->eval('0');
    return scalar(() = $page->requests) - $before;
}

sub pauses {
    my ($page) = @_;
    cmp_ok(asks_in($page, 2), '>=', 1, 'it asks each second');
    $page->eval(q{document.getElementById('pause').click()});
    is(text($page, 'pause'), 'Resume', 'paused');
    nap(1);
    is(asks_in($page, 2), 0, '... it asks nothing');
    $page->eval(q{document.getElementById('pause').click()});
    $page->eval(q{Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })});
    nap(1.5);
    is(asks_in($page, 2), 0, 'nor when nobody sees it');
    $page->eval(q{delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))});
    cmp_ok(asks_in($page, 2), '>=', 1, '... until somebody does');
}

# ---- saved, gone, without JavaScript, odd names ----

sub saves {
    my ($page) = @_;
    my $file = saved_file($page);
    my $saved = $browser->page(width => 1280);
    $saved->go("file://$file");
    like(text($saved, 'still'), qr/^Saved at [\d-]+ [\d:]+\. Nothing here changes/,
        'a saved page says so');
    is(text($saved, 'note-p50'), 'two.example.org', '... what was chosen');
    is($saved->eval("$HOSTS.length"), 3, '... its tables');
    is($saved->eval(q{document.querySelectorAll('.plot canvas').length}), 4,
        '... its charts');
    is_deeply([grep { !/^(?:file:|data:)/ } $saved->requests], [],
        '... and asks nobody');
    quiet($saved, 'saved');
    $saved->close;
}

sub gone {
    my ($page) = @_;
    $h->stop;
    ok($page->until(20, "$WORDS.includes('This page has had no answer for')"),
        'without an answer the page says so') or diag $page->eval($WORDS);
    like($page->eval($WORDS), qr/Nothing answers there/, '... and why');
    is($page->eval(q{document.body.className}), 'old', '... and greys');
    accessible($page, 'grey');
    $h->start;
    ok($page->until(30, "!$WORDS.includes('no answer') && document.body.className === ''"),
        'it goes on by itself') or diag $page->eval($WORDS);
    $page->close;
}

sub without_javascript {
    my $page = $browser->page(width => 390, script => 0);
    $page->go($h->url('/status'));
    ok(wait_until(10, sub { $page->eval('location.search') eq '?html' }),
        'no JavaScript: what is never kept');
    like($page->eval(q{document.getElementById('still').innerText}),
        qr/^Figures of .* The script of this page.* does not run here/,
        '... of which time it is');
    ok(wait_until(20, sub {     # a child that has just begun tells of itself
        my $rows = 'document.querySelectorAll("#processes tbody tr").length';
        return 1 if ($page->eval($rows) // 0) >= 3;
        $page->go($h->url('/status?html'));
        return 0;
    }), '... processes');
    like($page->eval(q{document.querySelector('[data-figure=points_recorded]').innerText}),
        qr/^[\d,]+$/, '... delivery');
    like($page->eval(q{document.getElementById('words').innerText}), qr/InfluxDB/,
        '... words');
    is($page->eval(q{document.getElementById('controls').checkVisibility()
        || document.querySelector('.chart').checkVisibility()}),
        JSON::PP::false(), '... and nothing that does nothing');
    fits($page, '... at 390');
    quiet($page, '... no JavaScript');
    $page->close;
}

# It asks the server that it is from, whatever its address looks like.
sub odd_addresses {
    my $named = $h->url('/for-a-user') =~ s{//}{//app:secret\@}r;
    for my $url ($h->url('//status'), $h->url('//status?html'), $named) {
        my $name = $url =~ s{:\d+/}{:PORT/}r;
        my $page = $browser->page(width => 1280);
        $page->go($url);
        ok($page->until(20,
            q{document.getElementById('last-requests').textContent.includes('Last')}),
            "$name: the script has its answers") or diag $page->eval($WORDS);
        my $address = $page->eval('document.URL');
        for my $step (['24h', qr/^#span=24h\z/], ['10m', qr/^\z/]) {
            $page->eval("document.querySelector('[data-span=\"$step->[0]\"]').click()");
            like($page->eval('location.hash'), $step->[1], "... $step->[0]: in the URL");
        }
        is($page->eval('document.URL'), $address, '... which is the one of before');
        is_deeply([grep { !m{^(?:data:|http://(?:app:secret\@)?127\.0\.0\.1:@{[$h->port]}/)} }
            $page->requests], [], '... no request to elsewhere');
        quiet($page, $name);
        $page->close;
    }
}

# A policy of the whole site, which knows no hash, stops the script.
sub with_a_policy_of_the_site {
    my $page = $browser->page(width => 390);
    $page->go($h->url('/strict'));
    ok($page->eval(q{document.getElementById('still').checkVisibility()}),
        'a policy of the site: the page says that its script does not run');
    cmp_ok($page->eval("$HOSTS.length"), '>=', 3, '... its tables are filled');
    is($page->eval(q{document.getElementById('controls').checkVisibility()}),
        JSON::PP::false(), '... and nothing that does nothing');
    $page->close;
}

sub odd_names {
    my $odd = ImxNames::server(influx => $db);
    my $page = $browser->page(width => 390);
    $page->go($odd->url('/status'));
    ok(wait_until(20, sub {
        ImxNames::ask($odd);
        $page->eval("$HOSTS.length") > @ImxNames::names;
    }), 'odd names are in the table');
    my $held = ImxNames::hold($odd,
        '/%3Cimg%20src=x%20onerror=alert(4)%3E%0A?secret');
    ok($page->until(20, q{document.querySelector('#slow tbody td:nth-child(4)')
        ?.textContent.startsWith('/held/<img src=x onerror=alert(4)>')}),
        'a slow request has its path as text');
    ok($page->until(10, q{document.getElementById('card-slow').getBoundingClientRect().top
        < document.getElementById('plot-requests').getBoundingClientRect().top}),
        '... and stands above the charts at 390');
    my $shown = $page->eval("$HOSTS.map(r => r.cells[0].textContent)");
    my @odd = grep { /^[\x20-\x7e]+$/ && length() < 200 } @ImxNames::names;
    for my $name (@odd) {
        is(scalar(grep { $_ eq $name } @$shown), 1, "as text: $name");
    }
    $page->eval(q{{ const h = document.getElementById('host');
        for (const o of [...h.options]) { h.value = o.value; h.dispatchEvent(new Event('change')) } }});
    nap(2);
    is($page->eval(q{document.querySelectorAll('img, b b, script').length}), 1,
        'no element is made of them');
    is($page->eval(q{typeof ({}).requests}), 'undefined', 'nor a prototype');
    fits($page, 'odd names');
    quiet($page, 'odd names');
    only_here($page, $odd->url, 'odd names');
    my $saved = $browser->page(width => 1280);
    $saved->go('file://' . saved_file($page));
    cmp_ok($saved->eval("$HOSTS.length"), '>', @ImxNames::names, 'and saved');
    quiet($saved, 'odd names, saved');
}

# ---- objectives, and what a click on the heatmap says ----

my $CELLS = <<'JS';
((wanted) => { const c = document.querySelector('#plot-heat canvas');
    const said = document.getElementById('cell-heat');
    c.scrollIntoView();
    const box = c.getBoundingClientRect();
    for (let x = box.right - 12; x > box.right - 60; x--) {
        for (let y = box.top + 7; y < box.bottom - 23; y += 3) {
            c.dispatchEvent(new MouseEvent('click', { clientX: x, clientY: y }));
            if (!said.hidden && said.textContent.includes(wanted)) return said.textContent;
        }
    }
    return null; })
JS
my $TIME = qr/[\d.]+ \S+/;
my $CLOCK = qr/\d\d:\d\d:\d\d/;
my $CELL = qr/^$CLOCK to $CLOCK: (?:1 request|[\d,]+ requests) took $TIME to $TIME\. /;

sub untraced {
    my ($page) = @_;
    like($page->eval("$CELLS('The trace of none is known')"), 
        qr/${CELL}The trace of none is known: that needs a traceparent header .*trace_id/,
        'a click on the heatmap: what it is, and what a trace needs');
    is($page->eval("document.getElementById('objective').checkVisibility()"),
        JSON::PP::false(), 'no tile of an objective that there is not');
}

sub objectives_and_traces {
    my $trace = '0af7651916cd43dd8448eb211c80319c';
    my $own = httpd(module => 1, influx => $db, children => 2, threads => 8,
        modules => ['rewrite'], vhosts => ['shop.example.org' =>
            "InfluxMetricsObjective 10s 99.9\nInfluxMetricsFields +trace_id\n"
            . "RewriteEngine On\nRewriteRule ^/bad - [R=503]"], conf => <<'CONF');
InfluxMetricsDatabase traced
<Location /status>
SetHandler influx-metrics
</Location>
CONF
    my $page = $browser->page(width => 1280);
    my $ask = sub {
        http('GET', $own->url($_[0], 'shop.example.org'),
            { headers => { traceparent => "00-$trace-b7ad6b7169203331-01" } });
    };
    $page->go($own->url('/status'));
    ok(wait_until(20, sub { $ask->('/'); text($page, 'tile-objective') eq '100 %' }),
        'the tile of the objective') or diag text($page, 'objective');
    like(text($page, 'objective'), 
        qr/^Objective 10\.0 s, 99\.9 %100 %in the last .*, burn rate 0; 0 in the last /,
        '... what it says');
    my $said;
    ok(wait_until(20, sub { $said = $page->eval("$CELLS('its trace is')") }),
        'a click on the heatmap names a trace');
    like($said // '', 
        qr/${CELL}(?:One of them|The nearest one known) ended at \S+ $CLOCK after $TIME, its trace is $trace$/,
        '... which one it is');
    is($page->eval(q{(() => { const code = document.querySelector('#cell-heat code');
        return code.textContent + getComputedStyle(code).userSelect; })()}),
        "${trace}all", '... to be copied as a whole');
    accessible($page, 'objective and trace');
    my $saved = $browser->page(width => 390);
    $saved->go('file://' . saved_file($page));
    like($saved->eval("$CELLS('its trace is')") // '', qr/$trace$/, '... also when saved');
    like(text($saved, 'objective'), qr/^Objective 10\.0 s, 99\.9 %100 %in/,
        '... with its objective');
    fits($saved, 'objective, saved, 390');
    $saved->close;
    $page->eval(q{(() => { const c = document.querySelector('#plot-heat canvas');
        const box = c.getBoundingClientRect(); c.dispatchEvent(new MouseEvent('click',
        { clientX: box.left + 5, clientY: box.top + 20 })) })()});
    is($page->eval("document.getElementById('cell-heat').hidden"), JSON::PP::true(),
        '... and is gone after a click beside the cells');
    $ask->('/bad') for 1 .. 20;
    ok($page->until(20, q{document.getElementById('objective').className === 'bad'}),
        'the tile is red when it burns') or diag text($page, 'objective');
    ok($page->until(20, "$WORDS.includes('shop.example.org misses its objective')"),
        '... and the words say so');
    accessible($page, 'missed objective');
    $page->eval(q{{ const h = document.getElementById('host'); h.value = 'imx.test';
        h.dispatchEvent(new Event('change')) }});
    is($page->eval("document.getElementById('objective').hidden"), JSON::PP::true(),
        'a virtual host without one has no tile');
    quiet($page, 'objective and trace');
    $page->close;
}

my $page = under_load();
untraced($page);
same_as_influxdb($page);
each_second($page);
chosen($page);
pauses($page);
quiet($page, 'the page');
only_here($page, $h->url, 'the page');
saves($page);
gone($page);
without_javascript();
with_a_policy_of_the_site();
odd_addresses();
odd_names();
objectives_and_traces();
finish();

# influx-metrics-top in a real terminal of two sizes: keys, a new size, pause, a
# page that goes away; and what no terminal may get, whoever wrote it.  (What is
# said in each trouble, and the exit status: t/words.t.  Answers that are no page:
# t/top-answers.t.)
use strict;
use warnings;
use Encode qw(decode encode);
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxNames;
use ImxTerminal;
use ImxTest;
use IO::Socket::INET;
use Test::More;

plan skip_all => 'python3-pyte is not installed' if !has_terminal();

my $db = influxd();

# The virtual hosts on the screen, as they are ordered.
sub hosts {
    my ($t) = @_;
    my ($table) = $t->screen =~ /^(virtual host.*?)^(?:workers|\s*$)/ms;
    my (undef, @rows) = split /\n/, $table // '';
    return map { /^(.*?)\s{2,}/ ? $1 : $_ } @rows;
}

# At least three of them, ordered so; a screen may be seen when it is half drawn.
sub hosts_are {
    my ($t, $order, $name) = @_;
    my @names;
    return ok(wait_until(10, sub {
        @names = hosts($t);
        return @names >= 3 && "@names" eq join ' ', sort { $order->($a, $b) }
            @names;
    }), $name) || diag explain \@names;
}

my $h = ImxNames::server(influx => $db, report => 'slow=1s processes=1s');
my $page = $h->url('/status');
my $evil = "\x1b]0;owned\x07\x1b[31m\xc2\x9b31m\xe2\x80\xaeevil\xe2\x81\xa6";
# A request of that path, which httpd gives up after a minute.
sub hold_evil {
    return ImxNames::hold($h, '/' . join('', map { sprintf '%%%02x', ord }
        split //, $evil) . 'x' x 7000);
}

my $held = hold_evil();
ok(wait_until(30, sub {
    ImxNames::ask($h);
    nap(0.3);
    my $s = status($h);
    @{ $s->{hosts} } > @ImxNames::names && @{ $s->{slow} }
        && @{ $s->{processes} } == 3;
}), 'there is something to see');

subtest 'keys' => sub {
    my $t = ImxTerminal->new(arguments => ['--host', 'x', $page]);
    ok($t->until(20, qr{req/s}), 'it begins') or return diag $t->screen;
    like($t->screen, qr{^virtual host /x \(?}m, '... with --host');
    ok((!grep { !/x/i } hosts($t)), '... and no other host');
    $t->keys("/\e");
    ok($t->until(10, qr/^virtual host \(\d+ of 13\) /m), 'all of them');
    my @lines = $t->lines;
    is(scalar @lines, 24, '24 lines');
    like($lines[0], qr/: Apache httpd 2\.4\.\d+, event, up .* \d\d:\d\d:\d\d\s*$/,
        'the title');
    like($lines[1], qr/^ (?:WELL|WARNING|CRITICAL) /, 'then the words');
    my $screen = join "\n", @lines;
    like($screen, qr{^[\d.]+ req/s   .*p50 .*p99 }m, 'tiles');
    like($screen, qr{^req/s .*most \d+ in \d+ s}m, 'requests of each second');
    like($screen, qr{^workers +busy \d+ of 32   accept queue \d+}m, 'workers');
    like($screen, qr{^delivery  [\d,]+ points = sent [\d,]+ \+ buffer}m, 'delivery');
    like($screen, qr{^slow, running}m, 'slow requests');
    like($screen, qr{^process .* pid }m, 'processes');
    $t->keys('n');
    ok($t->until(10, qr/^virtual host\* /m), 'by name');
    hosts_are($t, sub { lc $_[0] cmp lc $_[1] }, '... in order');
    $t->keys('R');
    ok($t->until(10, qr/^virtual host\^ /m), 'the other way round');
    hosts_are($t, sub { lc $_[1] cmp lc $_[0] }, '... in order');
    for ([r => 'req/s'], [e => 'errors'], [m => 'p50'], [5 => 'p95'],
        [9 => 'p99'], [b => 'busy']) {
        my ($key, $head) = @$_;
        $t->keys($key);
        ok($t->until(10, qr{^virtual host .*\Q$head\E\*}m), "by $head");
    }
    $t->keys('n');      # an order that figures do not change
    ok($t->until(10, qr/^virtual host[*^] /m), 'by name again');
    my $first = (hosts($t))[0];
    $t->keys("\e[B\e[B");
    ok(wait_until(10, sub { (hosts($t))[0] ne $first }), 'moves down');
    $t->keys("\e[1~");
    ok(wait_until(10, sub { (hosts($t))[0] eq $first }), 'and back');
    $t->keys("/gr\xc3\xb6\xc3\x9f");
    ok($t->until(10, qr/^virtual host: gr\x{f6}\x{df}_/m), 'a name is typed');
    ok(wait_until(10, sub { "@{[hosts($t)]}" eq "gr\x{f6}\x{df}e.example" }),
        '... is found') or diag $t->screen;
    $t->keys("\r");
    ok($t->until(10, qr/^q end/m), '... and stays');
    ok(wait_until(10, sub {
        my $screen = $t->screen;
        my ($tile) = $screen =~ m{^([\d.]+) req/s   }m;
        my ($row) = $screen =~ m{^gr\S+ +([\d.]+) }m;
        return defined $tile && defined $row && $tile eq $row;
    }), 'the figures on top are its own') or diag $t->screen;
    $t->keys('h');
    ok($t->until(10, qr/^any key: back/m), 'help');
    $t->keys("x/zzz\r");
    ok($t->until(10, qr/No virtual host has "zzz" in its name/), 'none has it');
    $t->keys('q');
    ok(wait_until(10, sub { defined $t->status }), 'ends');
    is($t->status, 0, '... with 0');
};

sub clock_of { return ($_[0]->screen =~ /(\d\d:\d\d:\d\d)/)[0] }

subtest 'pause and size' => sub {
    my $t = ImxTerminal->new(columns => 132, rows => 50, arguments => [$page,
        '--interval', 0.5]);
    ok($t->until(20, qr{in all +5xx}), 'more columns at 132') or diag $t->screen;
    is(scalar(hosts($t)), 13, 'all hosts at 50 rows');
    my $clock = clock_of($t);
    ok(wait_until(10, sub { clock_of($t) ne $clock }), 'it goes on');
    $t->keys('p');
    ok($t->until(10, qr/PAUSED/), 'it pauses');
    $clock = clock_of($t);
    my $sequence = status($h)->{sequence};
    wait_until(10, sub { status($h)->{sequence} > $sequence + 2 });
    is(clock_of($t), $clock, '... and shows the same');
    $t->keys(' ');
    ok(wait_until(10, sub { $t->screen !~ /PAUSED/ && clock_of($t) ne $clock }),
        '... and goes on');
    for my $size ([80, 24], [40, 10], [3, 2], [1, 1], [200, 60], [80, 24]) {
        $t->size(@$size);
        my $wanted = $size->[0] < 40 ? qr/./s : qr/^q end/m;
        ok(wait_until(10, sub { $t->screen =~ $wanted && !defined $t->status }),
            'a window of ' . join ' x ', @$size) or diag $t->screen;
    }
    ok($t->until(10, qr{^virtual host.*busy\s*$}m), 'as at the beginning');
    is(($t->lines)[23] =~ /^q end/, 1, '... to the last line');
    $t->signal('TERM');
    ok(wait_until(10, sub { defined $t->status }), 'TERM');
    like($t->raw, qr/\e\[\?25h/, '... the cursor is there again');
};

subtest 'no control byte' => sub {
    for my $kind (['LC_ALL', 'C.UTF-8'], ['LC_ALL', 'C']) {
        my $name = "@$kind";
        my $held = hold_evil();
        my $t = ImxTerminal->new(columns => 160, rows => 50, arguments => [$page],
            env => { NO_COLOR => 1, @$kind });
        ok($t->until(20, qr/evil/), "$name: the path is there")
            or return diag $t->screen;
        ok($t->until(10, qr/esc.{0,3}\[31m/), '... and a name');
        my $raw = $t->raw;
        my $text = decode('UTF-8', $raw, sub { "\x{fdd0}" });
        my $lacks = sub { ok($text !~ $_[0], "... $_[1]") };
        $lacks->(qr/\x{fdd0}/, 'UTF-8');
        $lacks->(qr/[\x{80}-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}]/,
            'without C1 and changes of direction');
        $lacks->(qr/[\x00-\x07\x0b\x0c\x10-\x1a\x1c-\x1f\x7f]/,
            'without control bytes, but those of curses');
        $lacks->(qr/\e\[31m/, 'without its colour');
        $lacks->(qr/\e\]/, 'without a title');
        is($t->title, '', '... so that it has none');
        like($t->screen, $kind->[1] eq 'C' ? qr/gr\?\?e|gr\?+e/ : qr/gr\x{f6}\x{df}e/,
            '... but its letters');
        my ($status, $once) = top_runs({ @$kind }, '--once', $page);
        unlike(decode('UTF-8', $once), qr/[^\n\x20-\x7e\x{a0}-\x{2027}
            \x{2030}-\x{2065}\x{2070}-\x{fffd}]/x, "$name: --once");
        unlike($once, qr/[^\n\x20-\x7e]/, '... ASCII') if $kind->[1] eq 'C';
        cmp_ok($status, '<', 3, '... it is read');
    }
};

subtest '--once and --json' => sub {
    my ($status, $text) = top_once($page, '--host', 'img', '--sort', 'name');
    like($text, qr/\A(?:WELL|WARNING|CRITICAL): \S/, 'the sentence first');
    like($text, qr/^"><img src=x onerror=alert\(2\)> +[\d.<]/m, 'the host');
    unlike($text, qr/constructor/, '... and no other');
    like($text, qr/^\| requests=[\d.]+ errors=[\d.]+ .*busy=\d+;;;0;32 .*dropped=0c$/m,
        'figures for a graph');
    is(scalar(() = $text =~ /\|/g), 1, '... behind the only bar');
    ($status, $text) = top_runs({}, '--json', $page);
    my %worth = (well => 0, warning => 1, critical => 2);
    is($status, $worth{ JSON::PP::decode_json($text)->{words}[0]{level} },
        '--json: by the worst level');
    unlike($text, qr/[^\n\x20-\x7e]/, '... in ASCII');
    is(scalar @{ JSON::PP::decode_json($text)->{hosts} }, 13, '... whole');
    my ($odd) = grep { $_->{name} =~ /^esc/ }
        @{ JSON::PP::decode_json($text)->{hosts} };
    ok($odd, '... with all names');
};

subtest 'no terminal for it' => sub {
    my ($status, $text) = top_runs({ TERM => 'xterm' }, $page);
    is($status, 3, 'a pipe: the exit status');
    like($text, qr/^influx-metrics-top: The view needs a terminal\./, 'and why');
    for my $term ('dumb', '', 'no-such-terminal') {
        my $t = ImxTerminal->new(arguments => [$page], env => { TERM => $term });
        ok($t->until(20, qr{TERM\s+is "$term"\.}), "TERM=$term: is said")
            or diag $t->screen;
        is($t->status // 'none', 3, '... the exit status')
            if wait_until(10, sub { defined $t->status });
    }
    for my $wrong (['--sort', 'size'], ['--interval', 'x'], ['--interval', 0],
        ['--none'], [$page, $page]) {
        is((top_runs({}, @$wrong))[0], 3, "@$wrong: unknown, not critical");
    }
};

# With prefork a connection that is kept keeps its worker.
subtest 'all other workers are busy, and nobody is there' => sub {
    my $small = httpd(module => 1, influx => $db, mpm => 'prefork', children => 2,
        figures => 1, report => 'none',
        conf => "InfluxMetricsDatabase small\nTimeout 300\n");
    my $t = ImxTerminal->new(arguments => [$small->url('/', 'figures')]);
    ok($t->until(20, qr/^workers +busy 1 of 2/m), 'it has a worker')
        or diag $t->screen;
    my @held = map {
        my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $small->port) or die "connect: $!";
        $s->syswrite("GET / HTTP/1.1\r\n");
        $s;
    } 1 .. 3;
    ok($t->until(20, qr/^workers +busy 2 of 2   accept queue [12]/m),
        'all are busy: it goes on') or diag $t->screen;
    ok($t->until(30, qr/CRITICAL +All 2 workers are busy and/), '... and says so')
        or diag $t->screen;
    close $_ for @held;
    ok($small->stop, 'stops');
    ok($t->until(20, qr/OLD +This view has had no answer for \d+ s; what you see/),
        'no page: it says so') or diag $t->screen;
    like($t->screen, qr/Nobody\s+listens at/, '... and why');
    $small->start;
    ok(wait_until(20, sub { $t->screen !~ /no answer for/ }), 'it is there again');
    like($t->screen, qr/, up \d s/, '... a new one');
    $t->keys('q');
    ok(wait_until(10, sub { defined $t->status }), 'ends');
    ok($small->stop, 'stops');
};

close $held;
ok($h->stop, 'stops');
finish();

# Functions of the page's scripts on their own, in a headless Chromium: what
# cannot be seen from outside of them.  (The page: t/page-browser.t.)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxBrowser;
use ImxTest;
use JSON::PP ();
use Test::More;

plan skip_all => 'there is no Chromium' if !ImxBrowser::program();

my $page = ImxBrowser->new->page;
my $json = JSON::PP->new->canonical;
my $scripts = join '', map { slurp(top() . "/src/show/page/$_.js") }
    qw(series heatmap);

# The cells of one bucket, of six columns in (from, to], by what an answer has.
sub heatmap {
    my ($columns, $from, $to) = @_;
    my ($answer, $bucket) = ($json->encode($columns), 64);
    return $page->eval(<<"JS");
(() => { $scripts
    const s = makeSeries(86400);
    addColumns(s, $answer);
    const found = gather(s, $from, $to, 6);
    const of = x => found.cells[x * BUCKETS + $bucket];
    return [0, 1, 2, 3, 4, 5].map(x => found.seconds[x] === 0 ? null :
        [of(x), of(x) * found.seconds[x], found.begin[x], found.end[x]]); })()
JS
}

# The server's answer: the requests of each second, all of one bucket; undef
# where nobody has closed it.
sub of_seconds {
    my (@requests) = @_;
    return { step => 1, time => [1001 .. 1000 + @requests],
        requests => \@requests, heat => { upper => [1],
            count => [map { [$_ ? $_ : ()] } @requests] } };
}

# Requests a second, how many there are, and from when to when.
is_deeply(heatmap(of_seconds(10, 0, 20, 10, 10, 10), 1000, 1006), [
    [10, 10, 1000, 1001], [0, 0, 1001, 1002], [20, 20, 1002, 1003],
    [10, 10, 1003, 1004], [10, 10, 1004, 1005], [10, 10, 1005, 1006],
], 'a second a cell');
is_deeply(heatmap(of_seconds(10, undef, undef, undef, 40, 10), 1000, 1006), [
    [10, 10, 1000, 1001], ([10, 40, 1001, 1005]) x 4, [10, 10, 1005, 1006],
], 'a gap has what the second behind it says of it');
is_deeply(heatmap(of_seconds(10, 10, 10, 10, undef, undef), 1000, 1006), [
    (map { [10, 10, 1000 + $_, 1001 + $_] } 0 .. 3), undef, undef,
], 'nothing is known of a gap that lasts');
# Two seconds a cell: one has the second of before the gap, too.
is_deeply(heatmap(of_seconds(10, 10, 10, 50, undef, undef, 30, (10) x 5),
    1000, 1012)->[2], [20, 80, 1003, 1007], 'a gap that begins within a cell');

# Quarters of an hour, of which the last one has begun a minute ago: no
# requests stand beside them, and it shares its cell with the one before.
is_deeply(heatmap({ step => 900, time => [900, 1800, 2700, 3600, 4500, 4560],
    heat => { upper => [1], count => [([900]) x 5, [540]] } }, -840, 4560), [
    undef, (map { [1, 900, 900 * $_, 900 * $_ + 900] } 0 .. 3),
    [1.5, 1440, 3600, 4560],
], 'a quarter of an hour that has just begun');

is(join("\n", $page->messages), '', 'nothing on the console');
finish();

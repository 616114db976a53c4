# A file for InfluxDB that the server's user cannot read any more keeps httpd from
# a start, but does not end a site that is restarted: the points wait until the
# file is right.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use Test::More;

my $influx = ImxStandin->new;
my $h = httpd(module => 1, influx => $influx, figures => 1, children => 1,
    start => 0);
my $file = $h->secret('token', "first\n");
$h->reconf(conf => "InfluxMetricsInterval 100ms\nInfluxMetricsTokenFile $file")->start;
get($h->url);
figures_are($h, { points_sent => 1 }, 'a token that can be read');

for my $case ([gone => sub { unlink $file }, qr/No such file/],
    [empty => sub { spew($file, '') }, qr/it is empty/]) {
    my ($name, $spoil, $says) = @$case;
    $spoil->();
    my ($ok) = $h->configtest;
    ok(!$ok, "$name: httpd -t refuses it");
    for my $how ('graceful', 'restart') {
        my $before = figures($h)->{points_sent};
        ok(eval { $h->$how; 1 }, "$name: httpd survives $how") or die $@;
        ok((grep { /error.*IMX0013: InfluxMetricsTokenFile: .*$says/ }
            $h->error_log), '... which the log says');
        is(get($h->url)->{status}, 200, '... and the site is served');
        ok(wait_until(20, sub { figures($h)->{last_error} =~ /\Q$file/ }),
            '... and the page says what is wrong');
        is(figures($h)->{points_sent}, $before, '... nothing is sent');
        $h->secret('token', "second\n");
        figures_are($h, { points_sent => $before + 1 },
            '... until the file is right', seconds => 60);
        $spoil->();
    }
    $h->secret('token', "third\n");
}
like(join(' ', map { $_->{headers}{authorization} // '' } $influx->requests),
    qr/Token second/, 'with the token that is there then');
unlink $file;
ok($h->stop, 'it stops');
ok(!eval { $h->start; 1 }, 'and does not start without the file');

finish();

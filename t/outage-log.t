# One line when delivery stops, one when it is back, however many children have
# delivered, or tried to, meanwhile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;
use Time::HiRes qw(time);

sub ours { grep { /IMX00(?!17|29|25)\d\d:/ } $_[0]->error_log }

for my $mpm (qw(event prefork)) {
    subtest "$mpm: children come and go" => sub {
        my $db = influxd();
        my $h = httpd(mpm => $mpm, module => 1, influx => $db, children => 4,
            figures => 1, conf => "MaxConnectionsPerChild 20\n"
            . 'LogLevel influx_metrics:debug');
        load(url => $h->url, n => 100, c => 4);
        count_is($db, 100, 'points before');
        is_deeply([ours($h)], [], 'nothing to tell');
        my $begin = time;
        $db->kill;
        my $holders = sub { scalar grep { /IMX0029:/ } $h->error_log };
        my $held = $holders->();
        my $load = client(port => $h->port, c => 2, rate => 50, close => 1,
            seconds => 8);
        is($load->wait->{broken}, 0, 'no request noticed');
        cmp_ok($holders->() - $held, '>=', 2,
            'several children had the lease meanwhile');
        $h->graceful(gone => 1);
        accounts_ok($h, 'down');
        my @down = ours($h);
        is(scalar @down, 1, 'one line') or diag join "\n", @down;
        like($down[0] // '', qr/:warn\].*IMX0020:.*onnect/, 'that it stopped');

        my $away = time - $begin;
        $db->start;
        ok(wait_until(60, sub { grep { /IMX0021:/ } $h->error_log }), 'back');
        my $all = time - $begin;
        count_is($db, $h, 'every point arrives', seconds => 60);
        my (undef, @back) = ours($h);
        is(scalar @back, 1, 'one line more') or diag join "\n", @back;
        my ($s, $pending, $lost) = ($back[0] // '') =~
            /:notice\].*IMX0021:.* after ([\d.]+) s: (\d+) pending, (\d+) lost/;
        cmp_ok($s // 0, '>', $away - 3, 'for how long: all of it');
        cmp_ok($s // 0, '<=', $all + 1, 'and no more');
        cmp_ok($pending // 0, '>', 250, 'how many points');
        is($lost, 0, 'how many are lost');
        accounts_ok($h, 'back');
        ok($h->stop, 'stops');
    };
}

finish();

# Every request is counted once, in the series of its virtual host or route: on
# each MPM, with children killed, over graceful restarts, and also where it has
# no point of its own. Counters are read from the shared memory itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxApp;
use ImxTest;
use ImxTest::Arena;
use Test::More;

my $restarts = $ENV{IMX_TIMES} || 10;
my $db = influxd();

my %room = (
    event => { children => 3, threads => 8 },
    worker => { children => 3, threads => 8 },
    prefork => { children => 12 },
);

sub is_logged {
    my ($h, $n) = @_;
    return wait_until(20, sub { $h->access_count >= $n });
}

# httpd writes its log before the request is counted.
sub is_counted {
    my ($h, $n, $name) = @_;
    my $seen;
    wait_until(20, sub { ($seen = figures($h)->{requests_counted}) == $n });
    is($seen, $n, "$name: requests_counted");
    is(series_sum($h, $_), $n, "$name: sum of $_")
        for qw(requests buckets);
}

sub bytes_logged {
    my ($h) = @_;
    my $sum = 0;
    $sum += $_->{bytes} for $h->access_log;
    return $sum;
}

# All requests have points, a tenth, or none.
my %sample = (all => 1, tenth => 0.1, none => 0);
my @hosts = sort keys %sample;

# Clients of all hosts at once; how many answers they got.
sub clients {
    my ($h, @how) = @_;
    return map { client(port => $h->port($_), c => 3, timeout => 5, @how) }
        @hosts;
}

sub answers {
    my $sum = 0;
    $sum += $_->wait->{complete} for @_;
    return $sum;
}

sub points_are {
    my ($h, $name) = @_;
    my $series = series($h);
    my ($all, $tenth) = map { $series->{$_}{requests} } qw(all tenth);
    my $points = figures($h)->{points_recorded} - $all;
    ok($all > 0 && $tenth > 0 && $series->{none}{requests} > 0,
        "$name: all hosts were asked");
    cmp_ok(abs($points - $tenth / 10), '<', 6 * sqrt $tenth,
        "$name: $points of $tenth requests of the sample are points");
}

for my $mpm (qw(event worker prefork)) {
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        %{ $room{$mpm} }, conf => "InfluxMetricsDatabase counted_$mpm",
        vhosts => [map { $_ => "InfluxMetricsSample $sample{$_}" } @hosts]);
    $h->put('htdocs/index.html', "hello\n");
    my @load = clients($h, rate => 40, seconds => 1 + 1.5 * $restarts);
    for (1 .. $restarts) {
        my $before = $h->access_count;
        $h->graceful;
        wait_until(10, sub { $h->access_count > $before + 5 });
    }
    my $n = answers(@load);
    ok(is_logged($h, $n), "$mpm: $n answers");
    cmp_ok($n, '>', 10 * $restarts, "$mpm: under load");
    is_counted($h, $h->access_count, "$mpm: $restarts graceful restarts");
    is(series_sum($h, 'bytes_sent'), bytes_logged($h), "$mpm: the same bytes");
    points_are($h, $mpm);

    # Idle children are killed: what they counted stays, and the next ones go on.
    $n = $h->access_count;
    for (1 .. 2) {
        my %killed = map { $h->kill_child($_) ? ($_ => 1) : () } $h->children;
        ok(scalar keys %killed, "$mpm: children are killed");
        wait_until(20, sub {
            my @children = $h->children;
            @children && !grep { $killed{$_} } @children;
        });
        ok(is_logged($h, $n += answers(clients($h, n => 15))),
            "$mpm: and others serve");
    }
    is_counted($h, $h->access_count, "$mpm: children were killed");

    # Under load: one that is killed between the two log hooks is logged only.
    $n = $h->access_count;
    @load = clients($h, seconds => 2, rate => 100);
    my $kills = 0;
    for (1 .. 4) {
        nap(0.3);               # the pace of the killing
        my @children = $h->children or next;
        $kills += $h->kill_child($children[rand @children]);
    }
    is_logged($h, $n + answers(@load));
    my $difference;
    wait_until(10, sub { $difference = $h->access_count
        - figures($h)->{requests_counted}; $difference <= $kills });
    ok($difference >= 0 && $difference <= $kills,
        "$mpm: logged - counted = $difference, $kills kills under load");
    is(series_sum($h, 'requests'), figures($h)->{requests_counted},
        "$mpm: the figure is the sum of the series");
    points_are($h, $mpm);
    ok($h->stop, "$mpm: stops");
}

subtest 'series, and what is counted in them' => sub {
    my $h = httpd(module => 1, influx => $db, figures => 1, children => 2,
        threads => 8, modules => ['alias', 'cgid'], start => 0, vhosts => [
            'routes.test' => "InfluxMetricsRoute user ^/users/\\d+\$\n"
                . "InfluxMetricsRoute search ^/search\n"
                . 'InfluxMetricsRoute user ^/people/',
            'untagged.test' => "InfluxMetricsRoute search ^/search\n"
                . 'InfluxMetricsTags -route',
            'twins.test' => "InfluxMetricsRoute twin ^/twin/1\n"
                . "InfluxMetricsRoute twin\\ ^/twin/2\n",
            'if.test' => 'InfluxMetricsIf false',
            'other' => '',
            'off.test' => 'InfluxMetrics Off',
            'odd name' => 'InfluxMetricsFields +server_time +output_time '
                . '+bytes_received +input_time',
        ], conf => sub { my ($h) = @_; <<"CONF" });
ServerName main.test
InfluxMetricsDatabase series
ScriptSock cgisock
ScriptAlias /cgi/ @{[ $h->dir ]}/htdocs/cgi/
<Directory @{[ $h->dir ]}/htdocs/cgi>
Require all granted
</Directory>
Redirect 503 /broken
<Location /page>
SetHandler influx-metrics
</Location>
<Location /secret-page>
SetHandler influx-metrics
Require all denied
</Location>
<Location /goal>
InfluxMetricsObjective 1500ms 99.9
</Location>
<Location /cgi>
InfluxMetricsObjective 1500ms 99.9%
</Location>
<Location /goal/none>
InfluxMetricsObjective none
</Location>
CONF
    $h->put('htdocs/index.html', "hello\n");
    $h->put('htdocs/goal/index.html', "hello\n");
    $h->put('htdocs/goal/none/index.html', "hello\n");
    $h->put('htdocs/cgi/slow', "#!/bin/sh\nsleep 1.7\n"
        . "printf 'Content-Type: text/plain\\n\\nslow\\n'\n", 0755);
    $h->start;
    my $n = 0;
    my $ask = sub {
        my ($host, $path, $times) = @_;
        for (1 .. $times // 1) {
            get($h->url($path, $host));
            $n++;
        }
    };
    my $main = undef;
    $ask->($main, '/', 3);
    $ask->($main, '/missing', 2);
    $ask->($main, '/broken');
    $ask->('routes.test', '/users/1', 2);
    $ask->('routes.test', '/people/1');
    $ask->('routes.test', '/search');
    $ask->('routes.test', '/', 4);
    $ask->('untagged.test', '/search', 2);
    $ask->('untagged.test', '/');
    $ask->('if.test', '/', 5);
    $ask->('other', '/');
    $ask->('odd name', '/', 2);
    $ask->('twins.test', "/twin/$_") for 1, 2;
    my $points = $n - 5;
    is_counted($h, $n, 'all');
    my $s = series($h);
    my %got = map { $_ => $s->{$_}{requests} } grep { $s->{$_}{requests} }
        keys %$s;
    is_deeply(\%got, { 'main.test' => 6, 'routes.test user' => 3,
        'routes.test search' => 1, 'routes.test unmatched' => 4,
        'untagged.test search' => 2, 'untagged.test unmatched' => 1,
        'twins.test twin' => 2,
        'if.test' => 5, 'other' => 1, 'odd name' => 2 },
        'each request is in its series') or diag explain \%got;
    is_deeply([@{ $s->{'main.test'} }{qw(class_2 class_4 class_5 class_3)}],
        [3, 2, 1, 0], 'by the class of its status');
    my $m = $s->{'main.test'};
    ok($m->{request_ns} >= $m->{application_ns} && $m->{application_ns} > 0,
        'request_time and application_time');
    is($m->{$_}, 0, "$_ is not taken there") for qw(server_ns output_ns);
    cmp_ok($s->{'odd name'}{$_}, '>', 0, "$_, where the field is recorded")
        for qw(server_ns output_ns);
    is(figures($h)->{points_recorded}, $points, 'points, but for InfluxMetricsIf');

    get($h->url('/off', 'off.test'));
    get($h->url('/page?json'));
    get($h->url('/page?nonsense'));
    is(series_sum($h, 'requests'), $n, 'Off and the page are not counted');
    is(figures($h)->{points_recorded}, $points, '... and are no points');
    $ask->($main, '/secret-page');
    is_counted($h, $n, 'what httpd answers in place of the page');

    $ask->($main, '/goal/', 4);
    $ask->($main, '/goal/none/', 3);
    $ask->($main, '/goal/missing');
    $ask->($main, '/cgi/slow');
    is_counted($h, $n, 'with objectives');
    my $goal = series($h)->{'main.test'};
    is($goal->{objective_total}, 6, 'all requests of the objectives');
    is($goal->{objective_good}, 5, 'and those that are good');
    $h->reconf(conf => "ServerName main.test\nInfluxMetricsDatabase series\n"
        . "Redirect 503 /broken\nInfluxMetricsObjective 1h 50");
    $h->graceful(gone => 1);
    $ask->($main, '/');
    $ask->($main, '/broken');
    is_counted($h, $n, 'after a graceful restart');
    $goal = series($h)->{'main.test'};
    is($goal->{objective_total}, 8, 'an error of the server is one of them');
    is($goal->{objective_good}, 6, 'but no good one');
    # It is taken away each second, and so may just be gone.
    ok(wait_until(20, sub {
        $ask->($main, '/');
        return series($h)->{'main.test'}{max_ns} > 0;
    }), 'there is a longest one');
    ok($h->stop, 'stops');
};

# Where each request spent its time, though no point of a request says so.
subtest 'phases of requests without points' => sub {
    $db->query('CREATE DATABASE phases');
    my $h = httpd(module => 1, influx => $db, figures => 1, children => 2,
        threads => 8, modules => ['alias', 'cgid'], start => 0,
        report => 'none requests=1s phases',
        conf => sub { <<"CONF" });
InfluxMetricsDatabase phases
InfluxMetricsSample 0
ScriptSock cgisock
ScriptAlias /cgi/ @{[ $_[0]->dir ]}/htdocs/cgi/
CONF
    $h->put('htdocs/cgi/app', ImxApp::cgi(), 0755);
    $h->start;
    get($h->url) for 1 .. 20;
    my $head = "POST /cgi/app?read HTTP/1.1\r\nHost: imx.test\r\n"
        . "Content-Length: 2000\r\nConnection: close\r\n\r\n";
    raw($h->port, $head . 'x' x 2000, pause => [length($head) + 1000, 0.5],
        paused => \my $paused);
    is_counted($h, 21, 'all');
    ok($h->stop, 'stops');
    is($db->count('raw-requests', 'phases'), 0, 'no request has a point');
    my @sums = qw(request_time_sum server_time_sum application_time_sum
        input_time_sum output_time_sum);
    my ($m) = $db->query('SELECT ' . join(', ', map { qq{sum("$_") AS "$_"} }
        'bytes_received', @sums) . ' FROM "request-metrics"', 'phases');
    is($m->{bytes_received}, 2000, 'bytes_received');
    cmp_ok($m->{input_time_sum}, '>', $paused - 0.1,
        'input_time has the wait for the body') or diag explain $m;
    cmp_ok($m->{server_time_sum}, '>', 0, 'server_time_sum');
    my $all = 0;
    $all += $m->{$_} for @sums[1 .. $#sums];
    # Each sum has whole microseconds.
    cmp_ok(abs($all - $m->{request_time_sum}), '<', 21e-6,
        'and all of them are request_time') or diag explain $m;
};

# Names that a graceful restart brings get a place; more than there are, none.
subtest 'more names than places' => sub {
    my $host = sub { "<VirtualHost 127.0.0.1:$_[0]>\nServerName h$_[1].test\n"
        . "</VirtualHost>\n" };
    my $conf = sub {
        my ($from, $to) = @_;
        return sub {
            my ($h) = @_;
            return "InfluxMetricsDatabase many\n" . join '',
                map { $host->($h->port, $_) } $from .. $to;
        };
    };
    my $ask = sub {
        my ($h, $i) = @_;
        raw($h->port, "GET / HTTP/1.1\r\nHost: h$i.test\r\n"
            . "Connection: close\r\n\r\n");
    };
    my $h = httpd(module => 1, influx => $db, figures => 1, children => 1,
        threads => 8, conf => $conf->(1, 3));
    $ask->($h, 1);
    $h->reconf(conf => $conf->(1, 40));
    $h->graceful(gone => 1);
    $ask->($h, $_) for 1, 40;
    $h->reconf(conf => $conf->(101, 300));
    $h->graceful(gone => 1);
    $ask->($h, $_) for 101, 300;        # the first one and the last
    is_counted($h, 5, 'all of them');
    my $s = series($h);
    is($s->{'h1.test'}{requests}, 2, 'a name keeps its place');
    is($s->{'h40.test'}{requests}, 1, 'a new one gets one');
    is(scalar keys %$s, 128, 'as long as there are places');
    is(scalar(grep { $s->{$_} && $s->{$_}{requests} } qw(h101.test h300.test)),
        1, 'there was one for some of them');
    is($s->{other}{requests}, 1, 'the rest are "other"');
    is(scalar(grep { /IMX0097: \d+ virtual hosts and routes are counted together/ }
        $h->error_log), 1, 'and the log says so');
    ok($h->stop, 'stops');
};

# How an inner objective changes an outer one; t/merge.t cannot see that.
subtest 'objectives in every pair of places' => sub {
    my @cases = (['1h 99', 'none', '0 0', '1 1', '0 0', '0 0'],
        ['none', '1h 99', '0 0', '0 0', '1 1', '1 1'],
        ['1ms 99', '1h 99.5%', '0 0', undef, '1 1', '1 1']);
    # A section without a directive of the module's is not merged.
    my $in = sub { my ($place, $objective) = @_;
        $place->("InfluxMetrics On\n" . ($objective
            ? "InfluxMetricsObjective $objective\n" : '')) };
    my $section = sub { my ($begin, $text) = @_;
        my ($kind) = $begin =~ /^(\w+)/; "<$begin>\n$text</$kind>\n" };
    my @places = (sub { $_[0] }, sub { $section->('Directory /', $_[0]) },
        sub { $section->('Files "*.txt"', $_[0]) },
        sub { $section->('Location /d', $_[0]) },
        sub { $section->('If "true"', $_[0]) });
    my %want;
    my $h = httpd(module => 1, influx => $db, figures => 1, children => 1,
        threads => 8, start => 0, conf => sub {
            my ($h) = @_;
            my $text = "InfluxMetricsDatabase pairs\n";
            my $i = 0;
            for my $case (@cases) {
                my ($outer, $inner, @want) = @$case;
                for my $o (0 .. $#places) {
                    for my $p ($o + 1 .. $#places) {
                        for my $state (0 .. 3) {
                            next if !defined $want[$state];
                            my $name = 'o' . $i++ . '.test';
                            $want{$name} = $want[$state];
                            $text .= "<VirtualHost 127.0.0.1:@{[ $h->port ]}>\n"
                                . "ServerName $name\n"
                                . $in->($places[$o], $state & 1 && $outer)
                                . $in->($places[$p], $state & 2 && $inner)
                                . "</VirtualHost>\n";
                        }
                    }
                }
            }
            return $text;
        });
    $h->put('htdocs/d/f.txt', "hello\n");
    $h->start;
    raw($h->port, "GET /d/f.txt HTTP/1.1\r\nHost: $_\r\n"
        . "Connection: close\r\n\r\n") for sort keys %want;
    is_counted($h, scalar keys %want, 'all');
    my $s = series($h);
    my %got = map { $_ => "@{ $s->{$_} }{qw(objective_total objective_good)}" }
        keys %want;
    is_deeply(\%got, \%want, scalar(keys %want) . ' combinations');
    ok($h->stop, 'stops');
};

finish();

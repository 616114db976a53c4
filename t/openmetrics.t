# ?openmetrics: what Prometheus' own parsers and promtool read is what was asked
# of the server, in both forms, whatever virtual hosts are called; and under the
# names of prometheus-apache-exporter what that one says of the same server.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Encode qw(encode_utf8);
use ImxMetrics;
use ImxPrometheus;
use ImxTest;
use Test::More;

plan skip_all => missing() if missing();

my $trace = '0af7651916cd43dd8448eb211c80319c';
my $page = '/status?openmetrics';
my $conf = <<'CONF';
InfluxMetricsBuckets 8 request application
<Location /status>
SetHandler influx-metrics
InfluxMetrics Off
</Location>
<Location /traced>
InfluxMetricsFields +trace_id
</Location>
CONF

sub asked {
    my ($h, $host, $n, $path, %o) = @_;
    http('GET', $h->url($path // '/', $host), { headers => \%o }) for 1 .. $n;
}

# A request is counted when it is logged, which its client does not wait for.
sub wait_for {
    my ($h, $n) = @_;
    my $seen;
    return wait_until(20, sub {
        $seen = status($h)->{requests_counted} // 0;
        $seen == $n;
    }) || diag "$seen of $n requests are counted";
}

subtest 'figures' => sub {
    my $h = httpd(module => 1, influx => 'http://127.0.0.1:9', conf => $conf,
        modules => ['status'], vhosts => [
            'shop.test' => "InfluxMetricsRoute items ^/items\n"
                . "InfluxMetricsObjective 500ms 99.9%",
            'empty.test' => '' ]);
    $h->put('htdocs/traced', 'x' x 1000);
    asked($h, undef, 7);
    asked($h, undef, 2, '/none');
    asked($h, 'shop.test', 3, '/items/1');
    asked($h, 'shop.test', 4);
    asked($h, undef, 1, '/traced', traceparent => "00-$trace-b7ad6b7169203331-01");
    wait_for($h, 17);
    wait_until(20, sub { status($h)->{state} eq 'outage' });
    for my $open (1, 0) {
        my $form = $open ? 'OpenMetrics' : 'text';
        my $m = exposition($h->url($page), open => $open);
        like($m->{type}, $open
            ? qr{^application/openmetrics-text; version=1\.0\.0}
            : qr{^text/plain; version=0\.0\.4}, "$form: its type");
        is($m->{vary}, 'Accept', "$form: caches know");
        my @samples = eval { samples($m) };
        cmp_ok(scalar @samples, '>', 200, "$form: is taken") or diag $@;
        my $is = sub {
            my ($expected, $name, %labels) = @_;
            is(value($m, $name, %labels), $expected,
                "$form: $name " . join ' ', map { "$_=$labels{$_}" }
                sort keys %labels);
        };
        $is->(17, 'httpd_requests_total');
        $is->(8, 'httpd_requests_total', server => 'imx.test', status => '2xx');
        $is->(2, 'httpd_requests_total', server => 'imx.test', status => '4xx');
        $is->(0, 'httpd_requests_total', server => 'imx.test', status => '5xx');
        $is->(3, 'httpd_requests_total', server => 'shop.test', route => 'items');
        $is->(4, 'httpd_requests_total', route => 'unmatched');
        $is->(undef, 'httpd_requests_total', server => 'empty.test');
        $is->(17, 'httpd_request_duration_seconds_count');
        $is->(17, 'httpd_application_duration_seconds_count');
        $is->(7, 'httpd_objective_requests_total', kept => 'true');
        $is->(0, 'httpd_objective_requests_total', kept => 'false');
        $is->(1, 'httpd_info', mpm => 'event');
        $is->(32, 'httpd_workers_limit');
        $is->(2, 'httpd_children');
        $is->(0, 'influx_metrics_up');
        $is->(17, 'influx_metrics_recorded_points_total');
        $is->(17, 'influx_metrics_pending_points');
        $is->(0, 'influx_metrics_points_total', fate => 'sent');
        $is->(0, 'httpd_listen_queue', listener => '127.0.0.1:' . $h->port);
        $is->(511, 'httpd_listen_queue_limit',
            listener => '127.0.0.1:' . $h->port);
        cmp_ok(value($m, 'httpd_response_bytes_total', server => 'imx.test'),
            '>', 1000, "$form: bytes");
        cmp_ok(value($m, 'httpd_request_duration_seconds_sum'), '>',
            value($m, 'httpd_request_phase_seconds_total',
            phase => 'application'), "$form: an application is a part of it");
        is(scalar(grep { $_->{name} eq 'httpd_request_duration_seconds_bucket'
            && $_->{labels}{server} eq 'imx.test' } @samples), 36,
            "$form: 35 buckets and one for the rest");
        sums_ok($m, "$form: histograms add up");
        is_deeply([grep { $_->{help} !~ /^[A-Z].{8,}\.$/ } @samples], [],
            "$form: each family is explained in a sentence");
        is(scalar(grep { /_created$/ } map { $_->{name} } @samples) > 0 ? 1 : 0, $open,
            "$form: when counters began");
        my @x = grep { $_->{exemplar} } @samples;
        is(scalar @x, $open, "$form: one exemplar, where there can be one");
        next if !$open;
        is_deeply($x[0]{exemplar}{labels}, { trace_id => $trace },
            "$form: it is the trace's");
        cmp_ok($x[0]{exemplar}{value}, '<=', $x[0]{labels}{le},
            "$form: in its bucket");
        is_deeply([grep { $_->{unit} ne ($_->{family} =~ /_(seconds|bytes)$/
            ? $1 : '') } @samples], [], "$form: units");
    }
    my $text = exposition($h->url($page));
    lint_ok($text, 'promtool finds nothing');
    my %buckets = (1 => 19, 2 => 36, 4 => 70, 8 => 186, 3 => 36, '8x' => 36);
    for my $n (sort keys %buckets) {
        my $m = exposition($h->url("$page&buckets=$n"));
        is(scalar(() = $m->{text} =~ /_request_duration_seconds_bucket\{
            server="imx\.test",/gx), $buckets{$n}, "&buckets=$n");
        sums_ok($m, "&buckets=$n: histograms add up");
    }
    # A slower request takes the exemplar's place, a faster one does not.
    my $slow = 'f' x 32;
    asked($h, undef, 5, '/traced', traceparent => "00-$slow-b7ad6b7169203331-01");
    wait_for($h, 22);
    my $m = exposition($h->url($page), open => 1);
    my ($x) = grep { $_->{exemplar} } samples($m);
    like($x->{exemplar}{labels}{trace_id}, qr/^(?:$trace|$slow)$/,
        'an exemplar is of one request');
    ok($h->stop, 'stops');
};

# What is asked for, and what comes.
subtest 'forms' => sub {
    my $h = httpd(module => 1, influx => 'http://127.0.0.1:9', conf => $conf);
    my %open = (
        '' => 0, '*/*' => 0, 'text/plain' => 0, 'text/html, */*' => 0,
        'application/openmetrics-text' => 1,
        'application/openmetrics-text; version=1.0.0; charset=utf-8' => 1,
        'application/openmetrics-text;version=1.0.0,application/openmetrics'
            . '-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,'
            . '*/*;q=0.1' => 1,
        'text/plain;q=0.9, application/openmetrics-text;q=0.3' => 0,
        'application/openmetrics-text;q=0' => 0,
        'application/openmetrics-textual' => 0,
        'application/openmetrics-text;q=1e999,text/plain' => 1,
        'application/openmetrics-text;q=nan' => 1,
        ',;q=,,' . 'x' x 4000 => 0,
    );
    for my $accept (sort keys %open) {
        my $m = exposition($h->url($page), accept => $accept);
        is($m->{type} =~ /openmetrics/ ? 1 : 0, $open{$accept},
            'Accept: ' . substr $accept, 0, 60);
        is($m->{text} =~ /^# EOF\n\z/m ? 1 : 0, $open{$accept}, '... its end');
    }
    ok($h->stop, 'stops');
};

# Names that look like something else in the text, or are none.
subtest 'hostile names' => sub {
    my %names = (
        'q"uote' => 'q"uote', 'back\\slash' => 'back\\slash',
        'both\\"' => 'both\\"', '<script>alert(1)</script>' => undef,
        'a} 1 # {trace_id="x"} 1' => undef, "umlaut-\xfc.test" => undef,
        'x' x 300 => 'x' x 255, 'sp ace,com=ma' => undef,
    );
    my (@ports, %port);
    my $h = httpd(module => 1, influx => 'http://127.0.0.1:9', start => 0,
        conf => sub {
            my $n = 0;
            return $conf . join '', map {
                $port{$_} //= free_port();
                (my $quoted = $_) =~ s/(["\\])/\\$1/g;
                encode_utf8("Listen 127.0.0.1:$port{$_}\n<VirtualHost 127.0.0.1:"
                    . "$port{$_}>\nServerName \"$quoted\"\n</VirtualHost>\n")
            } sort keys %names;
        });
    my $bytes = slurp($h->dir . '/httpd.conf');
    $h->put('httpd.conf', $bytes . do {
        $port{raw} = free_port();
        "Listen 127.0.0.1:$port{raw}\n<VirtualHost 127.0.0.1:$port{raw}>\n"
            . "ServerName \"raw-\xff\xfe\x01-\xc3\"\n</VirtualHost>\n" });
    $h->start;
    get("http://127.0.0.1:$port{$_}/") for sort keys %port;
    wait_for($h, scalar keys %port);
    for my $open (1, 0) {
        my $form = $open ? 'OpenMetrics' : 'text';
        my $m = exposition($h->url($page), open => $open);
        my @samples = eval { samples($m) };
        ok(@samples, "$form: is taken") or diag $@;
        my %seen = map { $_->{labels}{server} => 1 }
            grep { $_->{name} eq 'httpd_requests_total' } @samples;
        is(scalar keys %seen, scalar keys %port, "$form: each host is there")
            or diag explain [sort keys %seen];
        my @there = grep { !$seen{ $names{$_} // $_ } } keys %names;
        is_deeply(\@there, [], "$form: under its name");
        ok((grep { /^raw-\x{fffd}\x{fffd}.-\x{fffd}$/ } keys %seen),
            "$form: what is no UTF-8 is replaced");
        sums_ok($m, "$form: histograms add up");
    }
    lint_ok(exposition($h->url($page)), 'promtool finds nothing');
    ok($h->stop, 'stops');
};

# Names, types and labels of the exporter, for the same server.
subtest 'prometheus-apache-exporter' => sub {
    plan skip_all => 'prometheus-apache-exporter is not installed'
        if !which_one('prometheus-apache-exporter');
    for my $mpm (qw(event prefork)) {
        my $h = httpd(module => 1, influx => 'http://127.0.0.1:9', mpm => $mpm,
            modules => ['status'], children => $mpm eq 'event' ? 2 : 4,
            conf => "$conf\nExtendedStatus On\n"
            . "<Location /server-status>\nSetHandler server-status\n"
            . "InfluxMetrics Off\n</Location>\n");
        asked($h, undef, 20);
        wait_for($h, 20);
        my $e = ImxPrometheus->exporter($h->url('/server-status?auto'));
        my %exporter = of_apache(exposition($e->url('/metrics')));
        my $m = exposition($h->url("$page&compat=apache_exporter"));
        my %ours = of_apache($m);
        cmp_ok(scalar keys %exporter, '>=', 15, "$mpm: it has figures");
        is_deeply([map { $_->{key} } sort_keys(\%ours)],
            [map { $_->{key} } sort_keys(\%exporter)],
            "$mpm: names, types and labels are the same");
        for my $key (grep { /^apache_(?:version|up\ |generation|info
            |scoreboard.*open|processes.*all)/x } keys %exporter) {
            is($ours{$key}{value}, $exporter{$key}{value}, "$mpm: $key")
                if exists $ours{$key};
        }
        # Which of them are busy may have changed meanwhile.
        my $workers = sub { my ($m) = @_; my $sum = 0;
            $sum += $m->{"apache_workers gauge {state=$_}"}{value}
                for qw(busy idle);
            return $sum };
        is($workers->(\%ours), $workers->(\%exporter), "$mpm: workers");
        is($ours{'apache_accesses_total counter {}'}{value}, 20,
            "$mpm: requests");
        my $open = exposition($h->url("$page&compat=apache_exporter"),
            open => 1);
        ok(eval { samples($open) }, "$mpm: also as OpenMetrics") or diag $@;
        ok($h->stop, "$mpm: stops");
    }
};

sub sort_keys { my ($m) = @_; return map { $m->{$_} } sort keys %$m }

# name, type and labels => the sample; the exporter's own figures left out.
sub of_apache {
    my ($m) = @_;
    return map {
        my $s = $_;
        my $l = $s->{labels};
        my $key = "$s->{name} $s->{type} {" . join(',', map { "$_=$l->{$_}" }
            sort keys %$l) . '}';
        ($key => { %$s, key => $key });
    } grep { $_->{name} =~ /^apache_/ && $_->{name} !~ /_build_info$/ }
        samples($m);
}

finish();

#!/usr/bin/perl
# peers.pl [--rounds N] [--ms N] [--only WORD]: this module beside others that
# tell of requests, each as its own documentation says, interleaved
# (ImxRounds.pm), servers and their helpers on one core, load and database on
# another.  NGINX_MODULES="DIR...": checkouts of nginx-module-vts and
# nginx-influxdb-module.  What could not be had is named.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use JSON::PP ();
use List::Util qw(max sum0);
use POSIX ();
use Time::HiRes qw(time);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxBare;
use ImxPeers;
use ImxPython;
use ImxReport;
use ImxRounds;
use ImxVisit;

my ($rounds, $only) = ($ENV{BENCH_ROUNDS} // 20, '');
GetOptions('rounds=i' => \$rounds, 'ms=i' => \$ImxVisit::MS,
    'only=s' => \$only)
    or die "usage: $0 [--rounds N] [--ms N] [--only WORD]\n";
$ENV{BENCH_ROUNDS} = $rounds;    # of a trial nothing is written
my $PROBES = $rounds < 20 ? 1 : 3;
my $TELEMETRY = 'mod_wsgi-telemetry==1.1.0';
my $PHASES = '+server_time +input_time +output_time +ttfb +bytes_received '
    . '+aborted';
my $COMBINED = '"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" '
    . '\"%{User-Agent}i\""';

my ($databases, @missing) = (0);
my $db = influxd();
my @others = ($db->pid);        # on the second core
my $python = ImxPython::stage();
my @groups = map { { title => $_->[0], subjects => [grep { $_ } @{ $_->[1] }] } }
    grep { index(lc $_->[0], lc $only) >= 0 }
    ['httpd, 12-byte file', [file_subjects()]],
    ['mod_wsgi, hello world', [wsgi_subjects()]],
    ['nginx, 12-byte file', [nginx_subjects()]];
@groups = grep { @{ $_->{subjects} } } @groups;
my @all = map { @{ $_->{subjects} } } @groups;
my ($way) = ImxVisit::ways();
ImxVisit::pin($way, \@others, \@all);
ImxVisit::visit($_) for @all;   # warm
my $run = ImxRounds->new(rounds => $rounds, measure => \&ImxVisit::visit);
for my $g (@groups) {
    my ($base, $control, @rest) = @{ $g->{subjects} };
    $g->{rounds} = $run->group($base, $control, @rest);
}
$run->run;
# Of all that has been used for a while.
$_->{memory} = [map { ImxVisit::memory(ImxVisit::of($_)) }
    @$_{qw(pids helpers)}] for @all;
probe() for 1 .. $PROBES;
report();

# ---- subjects ----

sub missing {
    push @missing, @_;
    return;
}

sub database {
    my $name = 'peer_' . ++$databases;
    $db->query("CREATE DATABASE $name");
    return $name;
}

sub httpd_subject {
    my ($name, $path, $conf, %o) = @_;
    my $server = ImxBare->new(module => 0, %{ $o{httpd} // {} }, conf => $conf);
    return { name => $name, server => $server, port => $server->port,
        path => $path, pids => ImxVisit::httpd_pids($server), sent => 0, %o };
}

# Both ways of a subject to see its points: how many, and of how many requests.
sub points_in {
    my ($database, $measurement, $field) = @_;
    my $count = sub { $db->count($measurement, $database, $field) };
    return (points => $count, seen => $count);
}

sub module {
    my ($name, $path, $site, $more, %o) = @_;
    my $database = database();
    my $conf = sub {
        return (ref $site ? $site->(@_) : $site)
            . "InfluxMetricsDatabase $database\n" . ($more // '');
    };
    return httpd_subject($name, $path, $conf, per => 1,
        points_in($database, 'raw-requests', 'application_time'),
        %o, httpd => { module => 1, influx => $db,
            # One that is mentioned leaves the others as they are by default.
            report => 'requests=10s', %{ $o{httpd} // {} } });
}

sub aggregates {
    my $s = module('this module, aggregates only', '/', '',
        "InfluxMetricsSample 0\n");
    my ($database) = slurp($s->{server}->dir . '/httpd.conf')
        =~ /^InfluxMetricsDatabase (\S+)/m;
    delete $s->{per};
    $s->{slow} = 1;
    $s->{points} = sub { $db->count('request-metrics', $database,
        'request_count') };
    $s->{seen} = sub {
        my @rows = $db->query('SELECT SUM(request_count) FROM '
            . '"request-metrics"', $database);
        return @rows ? $rows[0]{sum} : 0;
    };
    return $s;
}

sub file_subjects {
    return (
        httpd_subject('bare httpd', '/', ''),
        httpd_subject('bare httpd, once more: the control', '/', ''),
        module('this module, defaults', '/', ''),
        module('this module, all phases', '/', '',
            "InfluxMetricsFields $PHASES\n"),
        aggregates(),
        custom_log('CustomLog, combined'),
        telegraf_tail(),
        apache_exporter(),
    );
}

sub custom_log {
    my ($name, %o) = @_;
    return httpd_subject($name, '/', sub {
        'CustomLog ' . $_[0]->dir . "/combined.log $COMBINED\n" },
        httpd => { modules => ['logio'] }, %o);
}

sub telegraf_tail {
    my ($program, $why) = ImxPeers::built('build-engines.sh', 'telegraf');
    return missing($why) if !$program;
    my $database = database();
    my $s = custom_log('CustomLog and Telegraf 1.37.2: tail, grok',
        per => 1, slack => 1000, patience => 30, slow => 1,
        points_in($database, 'tail', 'resp_bytes'));
    my $telegraf = ImxPeers::telegraf($program,
        $s->{server}->dir . '/combined.log', $db, $database);
    $s->{helpers} = sub { $telegraf->pids };
    return $s;
}

sub apache_exporter {
    my $s = httpd_subject('prometheus-apache-exporter, each second', '/',
        "ExtendedStatus On\n<Location /server-status>\n"
        . "SetHandler server-status\n</Location>\n",
        httpd => { modules => ['status'] }, jump => 50);
    my $exporter = ImxPeers::apache_exporter(
        $s->{server}->url('/server-status?auto'))
        or return missing('prometheus-apache-exporter is not installed');
    my $scraper = ImxPeers::scraper($exporter->url . '/metrics');
    $s->{helpers} = sub { $exporter->pids };
    $s->{seen} = sub {
        $scraper->answer =~ /^apache_accesses_total (\S+)/m ? $1 : 0 };
    return $s;
}

sub wsgi {
    my ($name, $step, %o) = @_;
    my %site = ImxPython::site($python, $step, delete $o{conf});
    return httpd_subject($name, '/', $site{conf},
        %o, httpd => { modules => $site{modules} });
}

# One of the workshop's: in one process, each request with a time of its own.
# Two at the same time are one point: nothing makes them differ.
sub workshop {
    my ($name, $step, %o) = @_;
    my $database = database();
    local $ENV{BENCH_INFLUX} = '127.0.0.1:' . $db->port . "/$database";
    return wsgi($name, $step, per => 0.99, %o,
        points_in($database, 'raw-requests', 'application_time'));
}

sub wsgi_subjects {
    my %site = ImxPython::site($python, 'v1');
    return (
        wsgi('bare mod_wsgi', 'v1'),
        wsgi('bare mod_wsgi, once more: the control', 'v1'),
        module('this module, defaults', '/', $site{conf}, '',
            httpd => { modules => $site{modules} }),
        telemetry(),
        workshop('v2: Python, a write a request', 'v2'),
        workshop('v4: Python, batch of dicts', 'v4'),
        workshop('v5: Python, batch of lines', 'v5'),
    );
}

sub telemetry {
    my $name = 'mod_wsgi 6.1 telemetry';
    return missing("$name: PyPI's mod_wsgi did not build")
        if $python->{name} !~ /from PyPI/;
    return missing("$name: $TELEMETRY could not be installed")
        if !ImxPython::install($TELEMETRY);
    my $socket = work_dir() . '/telemetry.sock';
    my $ingester = ImxPeers::telemetry(ImxPython::venv()
        . '/bin/mod_wsgi-telemetry', $socket);
    my $s = wsgi($name, 'v1', conf => "WSGITelemetryService unix:$socket\n");
    $s->{helpers} = sub { $ingester->pids };
    $s->{seen} = sub {
        my $state = JSON::PP::decode_json(
            get($ingester->url('/api/state'))->{content});
        return sum0(map { $_->{fields}{request_count} // 0 }
            map { @{ $_->{samples} } } @{ $state->{processes} });
    };
    return $s;
}

sub nginx_subject {
    my ($name, $root, $module, $http, $server, %o) = @_;
    my $nginx = ImxPeers::nginx($root, $module, $http, $server);
    return { name => $name, server => $nginx, port => $nginx->port, path => '/',
        pids => sub { $nginx->pids }, sent => 0, %o };
}

sub nginx_subjects {
    my ($root, $why) = ImxPeers::built('build-nginx.sh',
        split ' ', $ENV{NGINX_MODULES} // '');
    return missing($why) if !$root;
    return (
        nginx_subject('bare nginx', $root, undef, '', ''),
        nginx_subject('bare nginx, once more: the control', $root, undef, '',
            ''),
        nginx_vts($root), nginx_influxdb($root),
    );
}

sub nginx_vts {
    my ($root) = @_;
    my $module = 'ngx_http_vhost_traffic_status_module.so';
    return missing('nginx-module-vts: NGINX_MODULES has no checkout of it')
        if ($ENV{NGINX_MODULES} // '') !~ /vts/;
    my $s = nginx_subject('nginx-module-vts, asked each second', $root, $module,
        'vhost_traffic_status_zone;', "location /status {\n"
        . "vhost_traffic_status_display;\nvhost_traffic_status_display_format "
        . "html;\n}", jump => 50);
    my $scraper = ImxPeers::scraper($s->{server}->url('/status/format/json'));
    $s->{seen} = sub {
        $scraper->answer =~ /"\*":\{"requestCounter":(\d+)/ ? $1 : 0 };
    return $s;
}

# By UDP: what the kernel cannot take is lost, and nobody is told.
sub nginx_influxdb {
    my ($root) = @_;
    my $module = 'ngx_http_influxdb_module.so';
    return missing('nginx-influxdb-module: NGINX_MODULES has no checkout of it')
        if ($ENV{NGINX_MODULES} // '') !~ /influxdb/;
    my ($own, $port) = ImxPeers::influxd_udp('nginx');
    push @others, $own->pid;
    my $count = sub { $own->count('requests', 'nginx', 'status') };
    return nginx_subject('nginx-influxdb-module, by UDP', $root, $module, '',
        "location / {\ninfluxdb server_name=imx host=127.0.0.1 port=$port "
        . "measurement=requests enabled=true;\n}",
        points => $count, seen => $count, own => $own);
}

# ---- from the request to the database ----

# At moments that have nothing to do with anybody's clock, one after the other,
# and beside them, in processes of their own, those that take some ten seconds.
sub probe {
    my @slow = grep { $_->{seen} && $_->{slow} } @all;
    for my $s (@slow) {
        $s->{child} = open($s->{answer}, '-|') // die "fork: $!\n";
        next if $s->{child};
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        nap(rand 2);
        syswrite STDOUT, seconds_until_seen($s, 0.1) // '';
        POSIX::_exit(0);
    }
    for my $s (grep { $_->{seen} && !$_->{slow} } @all) {
        nap(rand 1);
        note_seconds($s, seconds_until_seen($s, 0.01));
    }
    note_seconds($_, scalar readline $_->{answer}) for @slow;
    close $_->{answer} for @slow;
}

sub seconds_until_seen {
    my ($s, $poll) = @_;
    my $enough = $s->{seen}->() + ($s->{jump} // 1);
    ImxVisit::ask($s, '-n', $s->{jump} // 1);
    my $begin = time;
    while (time < $begin + 40) {
        return time - $begin if $s->{seen}->() >= $enough;
        nap($poll);
    }
    return;
}

sub note_seconds {
    my ($s, $seconds) = @_;
    $s->{sent} += $s->{jump} // 1;
    return warn "$s->{name}: not seen within 40 seconds\n" if !$seconds;
    push @{ $s->{seconds} }, $seconds;
}

# ---- the table ----

sub ratio {
    my ($g, $s, $what) = @_;
    my ($base, $control) = @{ $g->{subjects} };
    return '' if $s == $base;
    my $r = $g->{rounds}->compare($s, $what) // return '-';
    return $s == $control ? ImxRounds::words($r)
        : ImxRounds::cell($r, $r->{control});
}

sub points {
    my ($s) = @_;
    return '-' if !$s->{points};
    my $n = $s->{points}->() / $s->{sent};
    return sprintf $n > 0.01 ? '%.3f' : '%.5f', $n;
}

sub row {
    my ($g, $s) = @_;
    my $helpers = $g->{rounds}->value($s, 'cpu')
        - $g->{rounds}->value($s, 'server');
    return '| ' . join(' | ', $s->{name},
        sprintf('%.0f', $g->{rounds}->value($s, 'rps')), ratio($g, $s, 'rps'),
        both($s, $g->{rounds}->value($s, 'server'), $helpers),
        ratio($g, $s, 'cpu'),
        (map { ratio($g, $s, $_) } qw(p50 p99 p999)), points($s),
        $s->{seconds} ? sprintf('%.2f', ImxRounds::median(@{ $s->{seconds} }))
            : '-', both($s, @{ $s->{memory} })) . " |\n";
}

# Of the server, and of its helpers.
sub both {
    my ($s, @values) = @_;
    return join ', ', map { sprintf '%.1f', $_ }
        @values[0 .. ($s->{helpers} ? 1 : 0)];
}

# Where somebody else is better than this module by default, by more than the
# control: key, 1 if more is better, what it is called.  Who is beside another
# server is held against that one, as the module is against bare httpd.
sub better {
    my ($g) = @_;
    my ($with) = grep { module_of($_) } $g, @groups or return ();
    my $module = module_of($with);
    my $beside = $with == $g ? '' : 'against its bare server: ';
    my @text;
    for my $s (@{ $g->{subjects} }[2 .. $#{ $g->{subjects} }]) {
        next if $s->{name} =~ /^this module/;
        my @where = map {
            my ($what, $sign, $word) = @$_;
            my ($theirs, $ours) = ($g->{rounds}->compare($s, $what),
                $with->{rounds}->compare($module, $what));
            # One of the two at least is told from the base.
            (grep { ImxRounds::distinguishable($_, $_->{control}) } $theirs,
                $ours) && $sign * ($theirs->{median} - $ours->{median})
                > max(map { ImxRounds::spread($_->{control}) } $theirs, $ours)
                ? $word : ();
        } [rps => 1, 'throughput'], [cpu => -1, 'processor time'],
            [p50 => -1, 'p50'], [p99 => -1, 'p99'], [p999 => -1, 'p99.9'];
        push @where, 'memory' if $with == $g
            ? sum0(@{ $s->{memory} }) < 0.9 * sum0(@{ $module->{memory} })
            : more_memory($g, $s) < 0.9 * more_memory($with, $module);
        push @where, 'seconds to the database' if $s->{seconds}
            && $module->{seconds} && ImxRounds::median(@{ $s->{seconds} })
            < 0.5 * ImxRounds::median(@{ $module->{seconds} });
        push @text, "$s->{name} ($beside" . join(', ', @where) . ')' if @where;
    }
    return @text;
}

sub module_of {
    my ($g) = @_;
    my ($module) = grep { $_->{name} eq 'this module, defaults' }
        @{ $g->{subjects} };
    return $module;
}

# MiB more than the base.
sub more_memory {
    my ($g, $s) = @_;
    return sum0(@{ $s->{memory} }) - sum0(@{ $g->{subjects}[0]{memory} });
}

sub sentence {
    my ($word, $name, $what, $words) = @_;
    my ($g) = grep { index($_->{title}, $word) == 0 } @groups or return ();
    my ($s) = grep { index($_->{name}, $name) == 0 } @{ $g->{subjects} }
        or return ();
    return "$words: " . ImxRounds::sentence($g->{rounds}->compare($s, $what),
        $what eq 'rps' ? 'throughput' : 'processor time a request');
}

sub report {
    my @better = map { better($_) } @groups;
    my $text = ImxReport::wrapped(sprintf('%s; event MPM; %s. %s Each block '
        . 'has a base of its own, its first line.',
        ImxVisit::in_words($rounds), ImxVisit::describe($way),
        ImxReport::PAIRS() . ' ' . ImxVisit::saturated())) . "\n"
        . ImxReport::wrapped(
        'Processor time and memory: of the server, and of what it needs beside '
        . 'it (a database and whoever asks for figures not counted). Seconds: '
        . 'from a request to where it can be queried, of a server that has nothing '
        . "else to do, median of $PROBES at random moments; under load this module "
        . 'takes up to two intervals, as its pieces go out over one. Points: in the '
        . 'database for each request that was answered.')
        . "\n| | requests a second | throughput | us of processor time a "
        . "request | against the first | p50 | p99 | p99.9 | points a request | "
        . "seconds | MiB |\n" . '|---' x 11 . "|\n";
    for my $g (@groups) {
        $text .= "| **$g->{title}** " . '| ' x 10 . "|\n"
            . join '', map { row($g, $_) } @{ $g->{subjects} };
    }
    $text .= "\n" . ImxReport::wrapped('Better than this module by default, by '
        . 'more than the control (memory: by a tenth; seconds: half as many): '
        . (join('; ', @better) || 'none') . '.');
    $text .= "\n" . ImxReport::wrapped("Could not be had: $_.") for @missing;
    my @late = grep { $_->{late} } @all;
    $text .= "\n" . ImxReport::wrapped('Points came late or not at all: '
        . join('; ', map { "$_->{name} ($_->{late} times)" } @late) . '.')
        if @late;
    print $text;
    return if $only;
    ImxReport::write('peers', $text, command => 'make bench-peers'
        . ($ENV{NGINX_MODULES} ? ' NGINX_MODULES="..."' : ''),
        readme => join('; ', 'Beside others',
            sentence('httpd', 'CustomLog and', 'cpu',
                'CustomLog with Telegraf behind it'),
            sentence('mod_wsgi', 'v2', 'rps',
                'a write a request from Python'),
            sentence('mod_wsgi', 'mod_wsgi 6.1', 'cpu',
                "mod_wsgi's telemetry, which has no points of requests"))
            =~ s/; /: /r . '. Where others are better is said there, too.',
        versions => join ', ', grep { defined }
            ImxReport::version(ImxTest::Httpd::_place()->{program}, '-v'),
            $python->{name}, $TELEMETRY, $ImxPython::INFLUXDB,
            ImxReport::version('influxd', 'version'));
}

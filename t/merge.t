# How settings of an inner place change those of an outer one: every directive
# that may stand in more than one place, in every pair of places, set in none,
# one, or both of them. Members of the structs that are merged are named here,
# so that a new one is not forgotten.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();

# What is looked at in a point; no point: 'none'.
my @builtin_tags = qw(hostname method process protocol scheme server status);
my @builtin_fields = qw(application_time bytes_sent keepalive request_time uri);

sub present {
    my (@names) = @_;
    return sub {
        my ($p) = @_;
        return join ' ', grep { defined $p->{$_} } @names;
    };
}

sub value {
    my (@names) = @_;
    return sub {
        my ($p) = @_;
        return join ' ', map { $p->{$_} // '-' } @names;
    };
}

sub is_there { 'a point' }

my $usual_tags = 'hostname method process server status';
my $usual_fields = 'application_time bytes_sent request_time';

# What stands further out, what further in; what is seen: with neither, the
# outer, the inner, both. member: which ones of the structs this is about.
my @cases = (
    { name => 'On, then Off', member => 'enabled',
        outer => 'InfluxMetrics On', inner => 'InfluxMetrics Off',
        see => \&is_there, want => ['none', 'a point', 'none', 'none'] },
    { name => 'Off, then On', member => 'enabled',
        outer => 'InfluxMetrics Off', inner => 'InfluxMetrics On',
        see => \&is_there, want => ['none', 'none', 'a point', 'a point'] },

    { name => 'a list of tags, then changes', member => 'tags',
        outer => 'InfluxMetricsTags status server hostname',
        inner => 'InfluxMetricsTags +scheme -status',
        see => present(@builtin_tags), want => [$usual_tags,
            'hostname server status', 'hostname method process scheme server',
            'hostname scheme server'] },
    { name => 'changes of tags, then a list', member => 'tags',
        outer => 'InfluxMetricsTags +scheme -status',
        inner => 'InfluxMetricsTags server protocol',
        see => present(@builtin_tags), want => [$usual_tags,
            'hostname method process scheme server', 'protocol server',
            'protocol server'] },
    { name => 'changes of tags, and back', member => 'tags',
        outer => 'InfluxMetricsTags +scheme -process -method',
        inner => 'InfluxMetricsTags -scheme +process +protocol',
        see => present(@builtin_tags), want => [$usual_tags,
            'hostname scheme server status',
            'hostname method process protocol server status',
            'hostname process protocol server status'] },

    { name => 'a list of fields, then changes', member => 'fields field_bits',
        outer => 'InfluxMetricsFields bytes_sent uri',
        inner => 'InfluxMetricsFields +keepalive -bytes_sent',
        see => present(@builtin_fields), want => [$usual_fields,
            'bytes_sent uri', 'application_time keepalive request_time',
            'keepalive uri'] },
    { name => 'changes of fields, then a list', member => 'fields field_bits',
        outer => 'InfluxMetricsFields +uri -request_time',
        inner => 'InfluxMetricsFields keepalive',
        see => present(@builtin_fields), want => [$usual_fields,
            'application_time bytes_sent uri', 'keepalive', 'keepalive'] },
    { name => 'changes of fields, and back', member => 'fields field_bits',
        outer => 'InfluxMetricsFields +uri -request_time',
        inner => 'InfluxMetricsFields -uri +request_time +keepalive',
        see => present(@builtin_fields), want => [$usual_fields,
            'application_time bytes_sent uri',
            'application_time bytes_sent keepalive request_time',
            'application_time bytes_sent keepalive request_time'] },

    { name => 'own tags', member => 'own_tags',
        outer => "InfluxMetricsTag zone outer\nInfluxMetricsTag from_out 1",
        inner => "InfluxMetricsTag zone \"%{SERVER_PROTOCOL}\"\n"
            . 'InfluxMetricsTag from_in 1',
        see => value(qw(zone from_out from_in)), want => ['- - -',
            'outer 1 -', 'HTTP/1.1 - 1', 'HTTP/1.1 1 1'] },
    { name => 'an own tag, then none', member => 'own_tags',
        outer => "InfluxMetricsTag zone outer\nInfluxMetricsTag from_out 1",
        inner => 'InfluxMetricsTag zone', see => value(qw(zone from_out)),
        want => ['- -', 'outer 1', '- -', '- 1'] },
    { name => 'an own tag for a built-in one', member => 'own_tags tags',
        outer => 'InfluxMetricsTag method mine',
        inner => 'InfluxMetricsTags -method', see => value('method'),
        want => ['GET', 'mine', '-', 'mine'] },

    { name => 'own fields', member => 'own_fields',
        outer => "InfluxMetricsField n int 1\nInfluxMetricsField o string out",
        inner => "InfluxMetricsField n int \"%{REQUEST_STATUS}\"\n"
            . 'InfluxMetricsField i string in',
        see => value(qw(n o i)), want => ['- - -', '1 out -', '200 - in',
            '200 out in'] },
    { name => 'an own field, then none', member => 'own_fields',
        outer => "InfluxMetricsField n int 1\nInfluxMetricsField o string out",
        inner => 'InfluxMetricsField n', see => value(qw(n o)),
        want => ['- -', '1 out', '- -', '- out'] },

    { name => 'never, then always', member => 'condition',
        outer => 'InfluxMetricsIf false', inner => 'InfluxMetricsIf true',
        see => \&is_there, want => ['a point', 'none', 'a point', 'a point'] },
    { name => 'always, then never', member => 'condition',
        outer => "InfluxMetricsIf %{REQUEST_METHOD}=='GET'",
        inner => "InfluxMetricsIf %{REQUEST_METHOD}=='PUT'",
        see => \&is_there, want => ['a point', 'a point', 'none', 'none'] },

    { name => 'no sample, then all', member => 'sample', outer =>
        'InfluxMetricsSample 0', inner => 'InfluxMetricsSample 1',
        see => value('sample_rate'), want => ['-', 'none', '-', '-'] },
    { name => 'all, then no sample', member => 'sample', outer =>
        'InfluxMetricsSample 1', inner => 'InfluxMetricsSample 0',
        see => value('sample_rate'), want => ['-', '-', 'none', 'none'] },
    { name => 'errors, then slow ones', member => 'sample', outer =>
        'InfluxMetricsSample 0 errors', inner =>
        'InfluxMetricsSample 0 slow=1h', path => '/d/e/missing.txt',
        see => value('sample_rate'), want => ['-', 1, 'none', 'none'] },
    { name => 'slow ones, then errors', member => 'sample', outer =>
        'InfluxMetricsSample 0 slow=1h', inner =>
        'InfluxMetricsSample 0 errors', path => '/d/e/missing.txt',
        see => value('sample_rate'), want => ['-', 'none', 1, 1] },

    { name => 'headers to take away',
        member => 'unset_headers changes_headers',
        outer => 'InfluxMetricsUnsetHeader X-One', inner =>
            'InfluxMetricsUnsetHeader X-Two', see_answer => 1,
        want => ['X-One X-Two', 'X-Two', 'X-One', ''] },
    { name => 'a header of times, then none',
        member => 'server_timing changes_headers',
        outer => 'InfluxMetricsServerTiming On',
        inner => 'InfluxMetricsServerTiming Off', see_answer => 1,
        want => ['X-One X-Two', 'Server-Timing X-One X-Two', 'X-One X-Two',
            'X-One X-Two'] },
    { name => 'none, then a header of times and one taken away',
        member => 'server_timing changes_headers unset_headers',
        outer => 'InfluxMetricsServerTiming Off',
        inner => "InfluxMetricsServerTiming On\nInfluxMetricsUnsetHeader X-One",
        see_answer => 1, want => ['X-One X-Two', 'X-One X-Two',
            'Server-Timing X-Two', 'Server-Timing X-Two'] },
);

# For a server and its virtual hosts.
my @of_servers = (
    { name => 'the measurement', member => 'measurement',
        outer => 'InfluxMetricsMeasurement outer', inner =>
            'InfluxMetricsMeasurement inner', see => value('_name'),
        want => ['raw-requests', 'outer', 'inner', 'inner'] },
    { name => 'routes', member => 'routes',
        outer => "InfluxMetricsRoute all ^/d\nInfluxMetricsRoute e ^/d/e",
        inner => "InfluxMetricsRoute none ^/x\nInfluxMetricsRoute file ^/d/e/f",
        see => value('route'), want => ['-', 'all', 'file', 'file'] },
    { name => 'routes that do not match further in', member => 'routes',
        outer => 'InfluxMetricsRoute all ^/d', inner =>
            'InfluxMetricsRoute none ^/x', see => value('route'),
        want => ['-', 'all', 'unmatched', 'all'] },
);

sub dir { my ($h, $path, $text) = @_;
    "<Directory \"@{[ $h->docroot ]}$path\">\n$text\n</Directory>\n" }
sub section { my ($begin, $text) = @_;
    my ($kind) = $begin =~ /^(\w+)/;
    "<$begin>\n$text\n</$kind>\n" }

# Pairs of places, the outer one first.
my @pairs = (
    ['server > Directory' => sub { $_[1] . "\n" . dir($_[0], '/d', $_[2]) }],
    ['server > Location' => sub { $_[1] . "\n"
        . section('Location /d/e', $_[2]) }],
    ['server > Files' => sub { $_[1] . "\n" . section('Files *.txt', $_[2]) }],
    ['server > If' => sub { $_[1] . "\n" . section('If true', $_[2]) }],
    ['Directory > Directory' => sub {
        dir($_[0], '/d', $_[1]) . dir($_[0], '/d/e', $_[2]) }],
    ['Directory > Directory, written first' => sub {
        dir($_[0], '/d/e', $_[2]) . dir($_[0], '/d', $_[1]) }],
    ['Directory > DirectoryMatch' => sub {
        section('DirectoryMatch /d/', $_[2]) . dir($_[0], '/d/e', $_[1]) }],
    ['Directory > Files in it' => sub {
        dir($_[0], '/d', "$_[1]\n" . section('Files f.txt', $_[2])
            . section('Files missing.txt', $_[2])) }],
    ['Directory > If in it' => sub {
        dir($_[0], '/d', "$_[1]\n" . section('If true', $_[2])) }],
    ['Files > Location' => sub {
        section('Location /d', $_[2]) . section('Files *.txt', $_[1]) }],
    ['Location > Location' => sub {
        section('Location /d', $_[1]) . section('Location /d/e', $_[2]) }],
    ['Location > Location, shorter but later' => sub {
        section('Location /d/e', $_[1]) . section('Location /d', $_[2]) }],
    ['Location > LocationMatch' => sub {
        section('Location /d', $_[1])
            . section('LocationMatch /e/.*txt$', $_[2]) }],
    ['Location > If' => sub {
        section('If true', $_[2]) . section('Location /d', $_[1]) }],
    ['If > If' => sub {
        section('If true', $_[1]) . section('If "-n %{REQUEST_URI}"', $_[2]) }],
    ['Location that another one leaves' => sub {
        section('Location /d', $_[1]) . section('Location /other',
            "InfluxMetrics Off\nInfluxMetricsTags none\n"
            . 'InfluxMetricsTag zone no')
            . section('Location /d/e/', $_[2]) }],
);

my $headers = "Header always set X-One 1\nHeader always set X-Two 2\n";

sub ask {
    my ($port, $name, $path) = @_;
    return raw($port, "GET $path HTTP/1.1\r\nHost: $name\r\n"
        . "Connection: close\r\n\r\n");
}

# Asks each host once and compares what is seen. %asked: name of the host =>
# [port, path, what is wanted, case, what the test is called].
sub look {
    my ($h, $database, $asked) = @_;
    my (%answer, %seen);
    my @names = sort keys %$asked;
    my $points = grep { $asked->{$_}[2] ne 'none' } @names;
    for my $name (@names) {
        my ($port, $path) = @{ $asked->{$name} };
        $answer{$name} = ask($port, $name, $path);
    }
    my $all = sub { eval { $db->query('SELECT * FROM /.*/', $database) } };
    wait_until(20, sub { (() = $all->()) >= $points });
    $h->stop;                   # what should not be there is there now
    push @{ $seen{ $_->{server} } }, $_ for $all->();
    my $wrong = 0;
    for my $name (@names) {
        my (undef, undef, $want, $case, $text) = @{ $asked->{$name} };
        my @p = @{ $seen{$name} // [] };
        my $got = $case->{see_answer}
            ? join(' ', sort $answer{$name}
                =~ /^(X-(?:One|Two)|Server-Timing):/mg)
            : @p ? $case->{see}->($p[0]) : 'none';
        $got = @p . ' points' if @p > 1;
        next if $got eq $want;
        $wrong++;
        is($got, $want, $text);
    }
    is($wrong, 0, "$database: " . @names . ' combinations');
}

my @states = (['neither', 0, 0], ['the outer', 1, 0], ['the inner', 0, 1],
    ['both', 1, 1]);

sub path_of { $_[0]{path} // '/d/e/f.txt' }

sub needs_on { $_[0]{member} =~ /enabled/ ? '' : "InfluxMetrics On\n" }

subtest 'every directive in every pair of places' => sub {
    my %asked;
    my $h = httpd(module => 1, influx => undef, start => 0, children => 1,
        threads => 8, modules => ['headers'], conf => sub {
            my ($h) = @_;
            my $url = $db->url;
            my $text = "InfluxMetricsServer $url\nInfluxMetricsDatabase pairs\n"
                . $headers;
            my $i = 0;
            for my $case (@cases) {
                for my $pair (@pairs) {
                    for my $s (0 .. 3) {
                        my ($state, $outer, $inner) = @{ $states[$s] };
                        my $name = 'v' . $i++ . '.test';
                        $asked{$name} = [$h->port, path_of($case),
                            $case->{want}[$s], $case,
                            "$case->{name}, $pair->[0]: $state"];
                        $text .= "<VirtualHost 127.0.0.1:@{[ $h->port ]}>\n"
                            . "ServerName $name\n" . needs_on($case)
                            . $pair->[1]->($h, $outer ? $case->{outer} : '',
                                $inner ? $case->{inner} : '')
                            . "</VirtualHost>\n";
                    }
                }
            }
            return $text;
        });
    $h->put('htdocs/d/e/f.txt', "hello\n");
    $h->start;
    look($h, 'pairs', \%asked);
    is_deeply([$h->complaints], [], 'no complaint');
};

subtest 'server and virtual host' => sub {
    my $serial = 0;
    for my $case (@cases, @of_servers) {
        my $is_of_servers = grep { $_ == $case } @of_servers;
        my ($database, %asked) = 'hosts' . $serial++;
        my $inner = $case->{inner};
        my @hosts = (['without', '', 1], ['with', $inner, 3]);
        push @hosts, (['Location', section('Location /d', $inner), 3],
            ['both', "$inner\n" . section('Location /d', $inner), 3])
            if !$is_of_servers;
        my $h = httpd(module => 1, influx => $db, start => 0, children => 1,
            threads => 8, modules => ['headers'], conf => sub {
                my ($h) = @_;
                my $port = $h->port;
                return "InfluxMetricsDatabase $database\n$headers"
                    . "$case->{outer}\n" . join '', map {
                        my ($name, $text, $s) = @$_;
                        $asked{"$name.test"} = [$port, path_of($case),
                            $case->{want}[$s], $case,
                            "$case->{name}: virtual host $name"];
                        "<VirtualHost 127.0.0.1:$port>\nServerName $name.test\n"
                            . "$text\n</VirtualHost>\n";
                    } @hosts;
            });
        $h->put('htdocs/d/e/f.txt', "hello\n");
        $h->start;
        look($h, $database, \%asked);
    }
};

subtest 'three places are merged as two' => sub {
    # A list, changes, changes; own ones added one by one; the last of If.
    my $h = httpd(module => 1, influx => $db, start => 0, children => 1,
        threads => 8, conf => sub {
            my ($h) = @_;
            return "InfluxMetricsDatabase three\nInfluxMetricsTags server "
                . "status\nInfluxMetricsTag a 1\nInfluxMetricsField x int 1\n"
                . dir($h, '/d', "InfluxMetricsTags +scheme\n"
                    . "InfluxMetricsTag b 2\nInfluxMetricsTags -status\n"
                    . 'InfluxMetricsField x')
                . section('Files *.txt', "InfluxMetricsTags +status\n"
                    . "InfluxMetricsTag a\nInfluxMetricsField y int 2")
                . section('Location /d', "InfluxMetricsTags -scheme +method\n"
                    . 'InfluxMetricsTag c 3')
                . section('If true', "InfluxMetricsTag b 4\n"
                    . 'InfluxMetricsField x int 5');
        });
    $h->put('htdocs/d/e/f.txt', "hello\n");
    $h->start;
    ask($h->port, 'x', '/d/e/f.txt') for 1 .. 3;
    count_is($db, 3, 'points', database => 'three');
    my @p = $db->query('SELECT * FROM "raw-requests"', 'three');
    for my $p (@p) {
        is(join(' ', map { "$_=" . ($p->{$_} // '-') } qw(a b c x y)),
            'a=- b=4 c=3 x=5 y=2', 'own ones');
        is(present(@builtin_tags)->($p), 'method server status', 'tags');
    }
};

subtest 'no directive in .htaccess' => sub {
    my @lines = ('InfluxMetrics Off', 'InfluxMetricsTags none',
        'InfluxMetricsFields none', 'InfluxMetricsTag zone x',
        'InfluxMetricsTag zone "%{REQUEST_URI}"',
        'InfluxMetricsField n int 1', 'InfluxMetricsIf false',
        'InfluxMetricsSample 0', 'InfluxMetricsUnsetHeader X',
        'InfluxMetricsRoute x ^/', 'InfluxMetricsMeasurement other',
        'InfluxMetricsTagLimit 5', 'InfluxMetricsServer http://127.0.0.1:1',
        'InfluxMetricsDatabase other', 'InfluxMetricsInterval 1h',
        'InfluxMetricsProcessTag off');
    my ($list) = join ' ', sort keys %{ { map { (split / /)[0] => 1 } @lines } };
    my %allow = (all => 'AllowOverride All', list => "AllowOverrideList $list",
        both => "AllowOverride All\nAllowOverrideList $list",
        nonfatal => "AllowOverride All Nonfatal=All");
    my $h = httpd(module => 1, influx => $db, start => 0, children => 1,
        threads => 8, conf => sub {
            my ($h) = @_;
            return "InfluxMetricsDatabase htaccess\nInfluxMetricsTag zone a\n"
                . join '', map { dir($h, "/$_", "InfluxMetricsTag from $_\n"
                    . $allow{$_}) } sort keys %allow;
        });
    my ($i, $n, %status) = (0, 0);
    for my $line (@lines) {
        for my $how (sort keys %allow) {
            $h->put("htdocs/$how/$i/.htaccess", "$line\n");
            $h->put("htdocs/$how/$i/f.txt", "x\n");
        }
        $i++;
    }
    $h->start;
    for my $how (sort keys %allow) {
        for my $k (0 .. $#lines) {
            for (1 .. 3) {
                my ($code) = ask($h->port, 'x', "/$how/$k/f.txt")
                    =~ /^HTTP\S+ (\d+)/;
                $status{$how}{$code}++;
                $n++;
            }
        }
    }
    count_is($db, $n, 'each request is a point', database => 'htaccess');
    my $all = 3 * @lines;
    is_deeply($status{all}, { 500 => $all }, 'not with AllowOverride All');
    is_deeply($status{nonfatal}, { 200 => $all },
        'ignored with Nonfatal');
    for my $how (qw(list both)) {
        is($status{$how}{500}, $all, "not with AllowOverrideList ($how)")
            or diag explain $status{$how};
    }
    my @p = $db->query('SELECT * FROM "raw-requests"', 'htaccess');
    is_deeply([grep { $_->{zone} ne 'a' || $_->{_name} ne 'raw-requests'
        || !defined $_->{process} || defined $_->{n} } @p], [],
        'and it changed nothing');
    is(scalar(grep { ($_->{from} // '') eq 'nonfatal' } @p), $all,
        'also not where it was ignored');
    is_deeply([grep { /exit signal/ } $h->error_log], [], 'no crash');
};

subtest 'no member is forgotten' => sub {
    my $text = slurp(top() . '/src/config/schema.h') =~ s{/\*.*?\*/}{}gsr;
    my %not_merged = map { $_ => 1 } qw(usual_plan series
        is_passing);
    # In no point: the handler of a place (t/htaccess.t), and an objective
    # (t/counted.t, t/objective.t).
    my %tested = map { $_ => 1 } 'handler', 'objective', 'placed',
        map { split ' ', $_->{member} } @cases, @of_servers;
    for my $type (qw(imx_schema_dir_t imx_schema_server_t)) {
        my ($body) = $text =~ /typedef struct(?: \w+)? \{([^{}]*)\} \Q$type\E;/
            or die "no $type in schema.h";
        my @members = map { s/^.*?(\*?\w+(?:, \w+)*)$/$1/sr =~ /(\w+)/g }
            split /;\s*/, $body;
        cmp_ok(scalar @members, '>=', 3, "$type has members");
        is_deeply([grep { !$tested{$_} && !$not_merged{$_} } @members], [],
            "each of $type is tested") or diag "@members";
    }
};

finish();

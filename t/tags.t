# The tags of a point: what the administrator named, never what a client sent;
# with odd characters, too.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use POSIX ();
use Test::More;

my $db = influxd();
my $hostname = (POSIX::uname())[1];

sub tag_values {
    my ($database, $key) = @_;
    return sort map { $_->{value} }
        $db->query(qq{SHOW TAG VALUES WITH KEY = "$key"}, $database);
}

sub ask_as {
    my ($port, $host) = @_;
    raw($port, "GET / HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n\r\n");
}

subtest 'server is the configured name' => sub {
    my @vhosts = map { <<"CONF" } 'a.example', 'b.example';
<VirtualHost *>
ServerName $_:8080
ServerAlias *.$_
</VirtualHost>
CONF
    my $h = httpd(module => 1, influx => $db, conf => sub {
        "InfluxMetricsDatabase server\n" . join '', map {
            s/\*>/"127.0.0.1:" . $_[0]->port . '>'/er
        } @vhosts;
    });
    ask_as($h->port, $_) for qw(a.example www.a.example b.example evil.test),
        'a,b=c\\', 'x.b.example';
    count_is($db, 6, 'a point for each Host, also for one that is refused',
        database => 'server');
    my %n = map { $_->{server} => $_->{n} } $db->query(
        'SELECT count(bytes_sent) AS n FROM "raw-requests" GROUP BY server',
        'server');
    # The first one has its own, and those that nobody has or httpd refuses.
    is_deeply(\%n, { 'a.example' => 4, 'b.example' => 2 }, 'by virtual host')
        or diag explain \%n;
    is_deeply([tag_values('server', 'hostname')], [$hostname], 'hostname');
    is_deeply([sort map { $_->{tagKey} } $db->query('SHOW TAG KEYS', 'server')],
        [qw(hostname method process server status)], 'these tags and no other');
    is_deeply({ map { $_->{fieldKey} => $_->{fieldType} }
            $db->query('SHOW FIELD KEYS', 'server') },
        { request_time => 'float', application_time => 'float',
            bytes_sent => 'integer' }, 'these fields, of these types');
};

subtest 'process' => sub {
    for my $mpm (qw(event prefork)) {
        my %point;
        for my $mode (qw(slot pid off)) {
            my $h = httpd(mpm => $mpm, module => 1, influx => $db,
                children => 4, threads => 4,
                conf => "InfluxMetricsDatabase ${mpm}_$mode\n"
                    . "InfluxMetricsProcessTag $mode");
            my $n = 0;
            for (1 .. 3) {
                load(url => $h->url, n => 200, c => 4, keepalive => 0);
                $h->graceful(gone => 1);
                $n += 200;
            }
            count_is($db, $n, "$mpm $mode: points", database => "${mpm}_$mode");
            my @process = tag_values("${mpm}_$mode", 'process');
            my %pids = map { $_->{pid} => 1 } $h->access_log;
            if ($mode eq 'slot') {
                my @odd = grep { !/^\Q$hostname\E:\d{1,2}$/ } @process;
                is_deeply(\@odd, [], "$mpm: HOST:SLOT, small numbers");
                cmp_ok(scalar @process, '<=', 8,
                    "$mpm: slots are used again by later children");
                cmp_ok(scalar @process, '>', 1, "$mpm: a slot a child");
            }
            elsif ($mode eq 'pid') {
                is_deeply(\@process, [sort map { "$hostname:$_" } keys %pids],
                    "$mpm: HOST:PID of the children that served");
            }
            else {
                is_deeply(\@process, [], "$mpm: no tag");
            }
        }
    }
};

subtest 'names with every character' => sub {
    my @names = ('with space', 'comma,equals=x', "gr\xc3\xb6\xc3\x9fe",
        'back\\slash', q{quote's "x"});
    my %vhosts = map { (my $v = $_) =~ s/(["])/\\$1/g; ($_ => $v) } @names;
    my $i = 0;
    my $h = httpd(module => 1, influx => $db, vhosts => [map {
            ("v" . $i++ => qq{InfluxMetricsMeasurement "$vhosts{$_}"\n}
                . qq{ServerName "$vhosts{$_}"})
        } @names], conf => "InfluxMetricsDatabase odd");
    get($h->url('/', "v$_")) for 0 .. $#names;
    for my $name (@names) {
        count_is($db, 1, "measurement $name", database => 'odd',
            measurement => $name);
    }
    my @got = $db->query('SELECT * FROM /.*/', 'odd');
    is(scalar @got, @names, 'no other measurement');
    utf8::encode($_->{server}), utf8::encode($_->{_name}) for @got;
    is_deeply({ map { $_->{_name} => $_->{server} } @got },
        { map { $_ => $_ } @names }, 'and the tags have these names');
};

subtest 'measurement' => sub {
    my $h = httpd(module => 1, influx => $db,
        vhosts => ['own.test' => 'InfluxMetricsMeasurement own',
            'same.test' => ''],
        conf => "InfluxMetricsDatabase measurement\n"
            . 'InfluxMetricsMeasurement requests');
    get($h->url);
    get($h->url('/', 'own.test')) for 1 .. 2;
    get($h->url('/', 'same.test')) for 1 .. 3;
    count_is($db, 4, 'of the server, and of hosts without an own one',
        database => 'measurement', measurement => 'requests');
    count_is($db, 2, 'of a virtual host', database => 'measurement',
        measurement => 'own');
    is($db->count('raw-requests', 'measurement'), 0, 'not the default');
};

# In a container the system's name is new with each start, and so would be the
# series.
subtest 'process follows a hostname of one\'s own' => sub {
    my $h = httpd(module => 1, influx => $db, modules => ['setenvif'],
        vhosts => ['named.test' => "InfluxMetricsTag hostname web-prod",
            'odd.test' => 'InfluxMetricsTag hostname "a b,c"',
            'dynamic.test' => 'InfluxMetricsTag hostname %{HTTP_HOST}',
            'gone.test' => 'InfluxMetricsTag hostname',
            'pid.test' => 'InfluxMetricsTag hostname web-pid'],
        conf => "InfluxMetricsDatabase process");
    get($h->url);
    get($h->url('/', $_))
        for qw(named.test odd.test dynamic.test gone.test pid.test);
    count_is($db, 6, 'points', database => 'process');
    my %process = map { $_->{server} => $_->{process} =~ s/:\d+\z//r }
        $db->query('SELECT * FROM "raw-requests"', 'process');
    is_deeply(\%process, { 'imx.test' => $hostname,
        'named.test' => 'web-prod', 'odd.test' => 'a b,c',
        'dynamic.test' => $hostname, 'gone.test' => $hostname,
        'pid.test' => 'web-pid' }, 'a constant one, and no other')
        or diag explain \%process;
};

finish();

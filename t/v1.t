# InfluxDB 1.x: database, retention policy, user and password.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $open = influxd();

subtest 'retention policy' => sub {
    $open->query('CREATE DATABASE kept WITH DURATION 2d NAME two_days');
    $open->query('CREATE RETENTION POLICY weeks ON kept DURATION 2w '
        . 'REPLICATION 1');
    my $h = httpd(module => 1, influx => $open,
        conf => 'InfluxMetricsDatabase kept weeks');
    load(url => $h->url, n => 100, c => 2);
    my $count = sub {
        my ($policy) = @_;
        my @rows = $open->query('SELECT count(bytes_sent) AS n FROM '
            . qq{"$policy"."raw-requests"}, 'kept');
        return @rows ? $rows[0]{n} : 0;
    };
    ok(wait_until(20, sub { $count->('weeks') == 100 }), 'the named one');
    is($count->('two_days'), 0, 'not the default');
};

subtest 'a database name with a space and a quote' => sub {
    my $name = q{my "data"&x=1};
    my $h = httpd(module => 1, influx => $open,
        conf => q{InfluxMetricsDatabase "my \"data\"&x=1"});
    load(url => $h->url, n => 100, c => 2);
    count_is($open, 100, 'made and filled', database => $name);
};

subtest 'a socket of this host' => sub {
    my $db = influxd(socket => 1);
    my $h = httpd(module => 1,
        influx => '"unix:' . $db->socket . '|http://localhost"');
    load(url => $h->url, n => 100, c => 2);
    count_is($db, 100, 'is a way to InfluxDB');
};

subtest 'InfluxMetricsCreateDatabase Off' => sub {
    my $h = httpd(module => 1, influx => $open, conf =>
        "InfluxMetricsDatabase later\nInfluxMetricsCreateDatabase Off");
    load(url => $h->url, n => 100, c => 2);
    ok(wait_until(20, sub { grep { /IMX\d{4}:/ } $h->error_log }),
        'the log tells of it');
    my @names = map { $_->{name} } $open->query('SHOW DATABASES');
    ok(!(grep { $_ eq 'later' } @names), 'the database is not made');
    $open->query('CREATE DATABASE later');
    count_is($open, 100, 'the points waited for it', database => 'later',
        seconds => 60);
};

subtest 'user and password' => sub {
    my $db = influxd(auth => 1);
    $db->query('CREATE DATABASE httpd');
    $db->query(q{CREATE USER writer WITH PASSWORD 'se:cr"et'});
    $db->query('GRANT WRITE ON httpd TO writer');
    my $h = httpd(module => 1, influx => $db, start => 0);
    my $file = $h->secret('password', qq{se:cr"et\n});
    $h->reconf(conf =>
        "InfluxMetricsUser writer\nInfluxMetricsPasswordFile $file");
    $h->start;
    load(url => $h->url, n => 100, c => 2);
    count_is($db, 100, 'are taken');

    # A wrong one: nothing arrives, nothing is lost, the secret stays secret.
    $h->secret('password', "wrong-word\n");
    $h->graceful(gone => 1);
    load(url => $h->url, n => 100, c => 2);
    my $refused = qr/IMX\d{4}:.*(?:401|authoriz)/;
    ok(wait_until(20, sub { grep { /$refused/ } $h->error_log }),
        'a wrong password is told of');
    is($db->count, 100, 'and nothing is stored');
    $h->secret('password', qq{se:cr"et\n});
    count_is($db, 200, 'a mended password file is read without a restart',
        seconds => 60);
    ok(!(grep { /wrong-word|se:cr/ } $h->error_log),
        'no password in the error log');
};

finish();

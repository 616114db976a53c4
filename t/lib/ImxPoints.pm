package ImxPoints;
#
# Servers with a database of their own in one InfluxDB, and their points.
#
#   use ImxTest; use ImxPoints;
#
#   my $db = influxd();
#   my ($h, $name) = server($db, conf => "text or sub", ...);   # as httpd()
#   ask($h, $url, ...);              # one after the other, each logged
#   my @points = points($db, $name, $n);    # hashes, oldest first
#   is_deeply(keys_of($points[0]), [...]);  # of its tags and fields
#
use strict;
use warnings;
use Exporter qw(import);
use ImxTest;
use Test::More ();

our @EXPORT = qw(server ask points keys_of);

my $serial = 0;

sub server {
    my ($db, %o) = @_;
    my $name = 'database' . ++$serial;
    my $text = $o{conf} // '';
    my $h = httpd(module => 1, influx => $db, children => 1, threads => 8, %o,
        conf => sub {
            "InfluxMetricsDatabase $name\nInfluxMetricsInterval 100ms\n"
            . (ref $text ? $text->(@_) : $text)
        });
    $h->{database} = $name;
    return ($h, $name);
}

sub rows {
    my ($db, $name) = @_;
    my @rows = eval { $db->query(q{SELECT * FROM "raw-requests"}, $name) };
    return @rows;
}

# Waits until each is a point, if it becomes one, so that the next request is a
# later one: a client can have its answer long before the worker has gone on.
sub ask {
    my ($h, @urls) = @_;
    for my $url (@urls) {
        my ($before, $logged) = (scalar(rows($h->{influx}, $h->{database})),
            $h->access_count);
        get($url);
        wait_until(10, sub { $h->access_count > $logged });
        wait_until(1, sub { rows($h->{influx}, $h->{database}) > $before });
    }
}

# All points, when there are as many as expected, by any field.  InfluxDB shows
# the fields of a write one after the other: a look at it while it goes on finds
# points in pieces, so two looks must find as much.
sub points {
    my ($db, $name, $n) = @_;
    my ($values, @rows) = -1;
    wait_until(20, sub {
        my $before = $values;
        @rows = rows($db, $name);
        $values = grep { defined } map { values %$_ } @rows;
        @rows == $n && $values == $before;
    });
    Test::More::is(scalar @rows, $n, "$name: $n points");
    return @rows;
}

sub keys_of {
    my ($row) = @_;
    return [sort grep { !/^(?:time|_name)$/ && defined $row->{$_} } keys %$row];
}

1;

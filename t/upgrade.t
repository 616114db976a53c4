# A graceful restart into a module whose shared memory has another layout, and
# back: it begins with memory of its own, and the old children deliver what is
# in theirs, or leave it in the spool.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();
my $other = build() . '/unit/mod_other_layout.so';

sub works_in_spool {
    my ($h, $pid) = @_;
    return grep { (readlink // '') eq $h->dir . '/spool' } glob "/proc/$pid/fd/*";
}

# One of the old children ends when the new ones already work in the spool.
sub graceful_with_a_late_child {
    my ($h) = @_;
    my %old = map { $_ => 1 } $h->children;
    my ($holder, $late) = status($h)->{lease_holder};
    ($late) = grep { $_ != $holder } keys %old;
    kill STOP => $late;
    $h->graceful;
    ok(wait_until(30, sub {
        grep { !$old{$_} && works_in_spool($h, $_) } $h->children;
    }), 'the new children work in the spool');
    kill CONT => $late;
    wait_until(30, sub { !grep { $old{$_} } $h->children });
}

for my $mpm (qw(event prefork)) {
    my $database = "upgrade_$mpm";
    $db->query("CREATE DATABASE $database");
    my $h = httpd(mpm => $mpm, module => 1, influx => $db, figures => 1,
        children => $mpm eq 'prefork' ? 12 : 2,
        conf => sub { <<"CONF" });
InfluxMetricsDatabase $database
InfluxMetricsSpool @{[ $_[0]->dir ]}/spool
CONF
    my $load = client(port => $h->port, c => 6, rate => 200, seconds => 4);
    for my $module ($other, 1, $other) {
        wait_until(10, sub { status($h)->{points_recorded} > 100 });
        $h->reconf(module => $module);
        $h->graceful;
    }
    my $r = $load->wait;
    wait_until(10, sub { $h->access_count >= $r->{complete} });
    count_is($db, $h, "$mpm: points = access log", database => $database);
    accounts_ok($h, $mpm);

    # While InfluxDB is down the old children have nowhere to go but the spool,
    # where the new ones find it.
    $db->stop;
    client(port => $h->port, n => 1000, c => 4)->wait;
    $h->reconf(module => 1);
    $mpm eq 'event' ? graceful_with_a_late_child($h) : $h->graceful(gone => 1);
    client(port => $h->port, n => 100, c => 4)->wait;
    delete $h->{account};       # each area has its own
    accounts_ok($h, "$mpm: down");
    $db->start;
    count_is($db, $h, "$mpm: nothing is lost by an upgrade while down",
        database => $database, seconds => 60);
    ok($h->stop, "$mpm: stops");
    is($db->count('raw-requests', $database), $h->access_count,
        "$mpm: and that was all");
}

finish();

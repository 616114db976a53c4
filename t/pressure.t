# resource-pressure: what the kernel's files say, and no field where there is no
# file.  t/unit-pressure.t has the files of other machines.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use ImxMeasured;
use Test::More;

my $db = influxd();
my $h = httpd(module => 1, influx => $db,
    conf => 'InfluxMetricsReport pressure=1s');

# What the files say, by the names of the fields.
sub read_files {
    my %is;
    for my $what (qw(cpu io memory)) {
        open my $f, '<', "/proc/pressure/$what" or next;
        while (<$f>) {
            $is{"${what}_$1"} = $2 if /^(some|full) avg10=([\d.]+)/;
        }
    }
    ($is{load1}) = slurp('/proc/loadavg') =~ /^([\d.]+)/;
    return %is;
}

# They change while we look: the least and the most that was seen.
my (%least, %most, @points);
wait_until(20, sub {
    my %is = read_files();
    for my $field (keys %is) {
        $least{$field} //= $is{$field};
        $most{$field} //= $is{$field};
        $least{$field} = $is{$field} if $is{$field} < $least{$field};
        $most{$field} = $is{$field} if $is{$field} > $most{$field};
    }
    @points = $db->count('resource-pressure', undef, 'load1')
        ? $db->query('SELECT * FROM "resource-pressure"') : ();
    return @points >= 5;
});
cmp_ok(scalar @points, '>=', 5, 'a point each second');
shift @points;    # we may have looked later

cmp_ok(scalar keys %least, '>=', 1, join ' ', sort keys %least);
for my $field (sort keys %least) {
    my @wrong = grep { !defined || $_ < $least{$field} || $_ > $most{$field} }
        map { $_->{$field} } @points;
    is_deeply(\@wrong, [], "$field: $least{$field} to $most{$field}");
}
my %other = map { ($_ => 1) } map { keys %$_ } @points;
delete @other{keys(%least), qw(_name time hostname)};
my ($group) = slurp('/proc/self/cgroup') =~ /^0::(.*)$/m;
my ($dir) = grep { -e "$_/cgroup.procs" }
    map { "$_$group" } qw(/sys/fs/cgroup /sys/fs/cgroup/unified);
my %file = (memory_current => 'memory.current', memory_max => 'memory.max',
    oom_kills => 'memory.events', cpu_throttled => 'cpu.stat',
    pids_current => 'pids.current', pids_max => 'pids.max');
is_deeply([grep { !$file{$_} || !$dir || !-e "$dir/$file{$_}" } keys %other],
    [], 'no field without a file');

manual_ok($db, 'resource-pressure');
ok($h->stop, 'stops');
is_deeply([$h->complaints], [], 'no complaints');
finish();

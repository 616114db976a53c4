# The addresses that the buffer could grow into are taken only where nobody counts
# them: under a limit (ulimit -v, LimitAS) the threads of httpd need them for their
# stacks, and a kernel that does not overcommit gives no memory for them to
# anybody else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;
no warnings 'portable';

plan skip_all => 'a sanitizer needs terabytes of addresses' if $ENV{IMX_PRELOAD};

my $db = influxd();
my $SIZE = 32;

# MB of the largest shared mapping.
sub shared {
    my ($h) = @_;
    my ($most) = sort { $b <=> $a } map { (hex($_->[1]) - hex $_->[0]) >> 20 }
        map { [/^([0-9a-f]+)-([0-9a-f]+) \S{3}s /] }
        grep { /^\S+ \S{3}s / } split /\n/, slurp('/proc/' . $h->pid . '/maps');
    return $most;
}

sub server {
    my ($name, @through) = @_;
    $db->query("CREATE DATABASE $name");
    return httpd(module => 1, influx => $db, figures => 1, children => 2,
        threads => 32, through => \@through,
        conf => "InfluxMetricsDatabase $name\nInfluxMetricsBufferSize ${SIZE}M");
}

my $plain = server('plain');
cmp_ok(shared($plain), '>', 1000, 'without a limit: addresses to grow into');
$plain->stop;

# What is bound over the kernel's file is only there for this httpd.
my $mode = spew(work_dir() . '/mode', "2\n", 0644);
my @strict = ('unshare', '--mount', 'sh', '-c', "mount --bind $mode "
    . '/proc/sys/vm/overcommit_memory && exec "$@"', 'sh');
my %through = (few => ['sh', '-c', 'ulimit -v 3000000; exec "$@"', 'sh'],
    strict => \@strict);

for my $name (sort keys %through) {
    SKIP: {
        skip 'nothing can be mounted here', 1 if $name eq 'strict'
            && ($> || system("@strict[0 .. 3] 'mount --bind $mode "
                . "/proc/sys/vm/overcommit_memory' 2>/dev/null"));
        my $h = server($name, @{ $through{$name} });
        cmp_ok(shared($h), '<', 2 * $SIZE + 40, "$name: no more than it needs");
        load(url => $h->url, n => 200, c => 4);
        count_is($db, $h, "$name: points arrive", database => $name);
        $h->reconf(conf => "InfluxMetricsDatabase $name\n"
            . 'InfluxMetricsBufferSize 64M')->graceful;
        ok((grep { /IMX0030: the buffer has \d+ bytes until the next full/ }
            $h->error_log), "$name: a larger buffer: the log says when");
        load(url => $h->url, n => 200, c => 4);
        count_is($db, $h, "$name: and points arrive", database => $name);
        $h->stop;
    }
}

finish();

#!/usr/bin/perl
# bytes.pl [--points N]: how many bytes a point has: as a line, packed on the wire,
# and on the disk of InfluxDB 1 and VictoriaMetrics when they have compacted it; and
# what the measurements of intervals add.  The points are those of a real httpd
# with ten virtual hosts, whose application takes lognormal times.  Each kind of
# point is recorded once, by a server in the place of the database that keeps the
# bodies; then both databases get the same bodies.
# BENCH_QUICK=1: a minute, with figures that are too high.  Prints Markdown; fails
# when a point is missing.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use IO::Socket::INET;
use IO::Uncompress::Gunzip qw(gunzip);
use POSIX ();
use Time::HiRes qw(time);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxChild;

my $points = $ENV{BENCH_QUICK} ? 10_000 : 60_000;
GetOptions('points=i' => \$points) or die "usage: $0 [--points N]\n";
my @hosts = map { "host$_.example.org" } 1 .. 10;
my $rate = 1000;
$| = 1;

# Kinds of points: what is configured beside the defaults.
my @kinds = (
    ['as by default', ''],
    ['as by default, once more: the control', ''],
    ['without the tag `process`', 'InfluxMetricsProcessTag off'],
    ['with all times', 'InfluxMetricsFields +server_time +input_time '
        . '+output_time +ttfb'],
);

my $LUA = <<'LUA';
require 'apache2'
function handle(r)
    local normal = math.sqrt(-2 * math.log(1 - math.random()))
        * math.cos(2 * math.pi * math.random())
    r.usleep(math.min(900000, 8000 * math.exp(0.7 * normal)))
    local chance = math.random()
    if chance < 0.01 then return 500 end
    if chance < 0.04 then return 404 end
    r.content_type = 'text/plain'
    local size = 200 + math.random(40000)
    r.headers_out['Content-Length'] = tostring(size)
    r:puts(string.rep('x', size))
    return apache2.OK
end
LUA

# ---- the bodies ----

my $sink = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16,
    ReuseAddr => 1) or die "listen: $!\n";

# The body of a request, taken out of its pieces.
sub body_of {
    my ($s) = @_;
    my ($head, $body) = ('', '');
    while (defined(my $line = <$s>)) {
        $head .= $line;
        last if $line eq "\r\n";
    }
    return if $head !~ /\r\n\r\n\z/;
    if ($head =~ /^Content-Length: (\d+)/mi) {
        read $s, $body, $1;
        return $body;
    }
    while (defined(my $size = <$s>)) {
        my $bytes = $size =~ /^([0-9a-f]+)/i ? hex $1 : 0;
        read $s, my ($piece), $bytes;
        $body .= $piece;
        <$s>;
        last if $bytes == 0;
    }
    return $body;
}

# A process that keeps bodies in files of a directory, by time.
sub keep_bodies {
    my ($dir) = @_;
    return fork_off(sub {
        $SIG{CHLD} = 'IGNORE';
        while (my $s = $sink->accept) {
            next if fork;
            my $n = 0;
            while (defined(my $body = body_of($s))) {
                spew(sprintf('%s/%.6f.%d', $dir, time, $n++), $body);
                syswrite $s, "HTTP/1.1 204 No Content\r\n\r\n" or last;
            }
            POSIX::_exit(0);
        }
    });
}

# Records so many requests of a kind; the bodies as they were on the wire.
sub record {
    my ($name, $conf, $n, $report) = @_;
    my $dir = work_dir() . "/bodies-$name";
    mkdir $dir;
    my $keeper = keep_bodies($dir);
    my $h = httpd(module => 1, modules => ['lua'], children => 4, threads => 16,
        influx => 'http://127.0.0.1:' . $sink->sockport, figures => 1,
        report => $report, start => 0, vhosts => [map { $_ => '' } @hosts],
        conf => "KeepAliveTimeout 300\nTimeout 300\nInfluxMetricsGzip on\nInfluxMetricsTag hostname web1\n"
            . "LuaScope thread\nErrorDocument 500 no\nErrorDocument 404 no\n"
            . "LuaMapHandler ^/app/ @{[ work_dir() ]}/app.lua\n$conf");
    spew(work_dir() . '/app.lua', $LUA);
    $h->start;
    my $each = int($n / @hosts);
    my @loads = map {
        my $i = $_;
        client(port => $h->port($hosts[$i]), n => $each, c => 4, timeout => 60,
            path => "/app/users/$i",
            rate => $rate / @hosts / 4);
    } 0 .. $#hosts;
    for (@loads) {
        my $r = $_->wait;
        die "$r->{broken} of $each requests are broken\n"
            if $r->{broken} > $each / 100;
    }
    wait_until(60, sub { figures($h)->{points_pending} == 0 })
        or die "not all is delivered\n";
    $h->stop;
    end_child($keeper);
    return (map { slurp($_) } sort glob "$dir/*");
}

sub unpacked {
    my ($packed) = @_;
    gunzip(\$packed, \my $text) or return $packed;
    return $text;
}

# ---- the databases ----

sub bytes_below {
    my ($dir, $pattern) = @_;
    my @files = split /\n/, `find $dir -type f`;
    my $bytes = 0;
    $bytes += -s $_ // 0 for grep { -e && /$pattern/ } @files;
    return $bytes;
}

# Until nothing has changed for some seconds.
sub settled {
    my ($measure) = @_;
    my ($last, $since) = (-1, time);
    while (time - $since < 15) {
        my $now = $measure->();
        ($last, $since) = ($now, time) if $now != $last;
        nap(0.5);
    }
    return $last;
}

sub processor_seconds {
    my ($pid) = @_;
    my @stat = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\) //sr;
    return ($stat[11] + $stat[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK);
}

sub put {
    my ($db, @bodies) = @_;
    for (@bodies) {
        my $r = http('POST', $db->url('/write?db=httpd&precision=ns'),
            { content => unpacked($_) });
        die "$r->{status} $r->{content}\n" if $r->{status} != 204;
    }
}

# Bytes a point after compaction, processor seconds a million points.
sub in_influx {
    my ($n, @bodies) = @_;
    my $db = influxd(start => 0);
    my $conf = "$db->{dir}/influxd.conf";
    spew($conf, slurp($conf) =~ s/^\[data\]\n/[data]
  cache-snapshot-write-cold-duration = "2s"
  compact-full-write-cold-duration = "5s"
/mr);
    $db->start;
    $db->query('CREATE DATABASE httpd');
    put($db, @bodies);
    my $bytes = settled(sub {
        bytes_below("$db->{dir}/wal/httpd", qr/\.wal$/) > 0
            ? -1 - rand : bytes_below("$db->{dir}/data/httpd", qr/\.tsm$/)
    });
    my $cpu = processor_seconds($db->pid);
    die "points are missing\n" if $db->count('raw-requests') != $n;
    my ($row) = $db->query('SHOW SERIES CARDINALITY', 'httpd');
    my ($series) = grep { defined && /^\d+$/ } values %$row;
    my @result = ($bytes / $n, $cpu / $n * 1e6, $series);
    $db->stop;
    return @result;
}

sub in_victoria {
    my ($n, @bodies) = @_;
    my $vm = victoria();
    put($vm, @bodies);
    get($vm->url('/internal/force_flush'));
    get($vm->url('/internal/force_merge'));
    my $bytes = settled(sub { bytes_below("$vm->{dir}/data/data", qr/./) });
    my @result = ($bytes / $n, processor_seconds($vm->pid) / $n * 1e6);
    my $stored = () = $vm->samples('raw-requests_bytes_sent');
    die "$stored of $n points\n" if $stored != $n;
    $vm->stop;
    return @result;
}

# ---- the tables ----

print "| points | line | packed on the wire | InfluxDB 1.6 | VictoriaMetrics "
    . "| series |\n|---|---|---|---|---|---|\n";
my (%cpu, $lines_a_body);
for my $i (0 .. $#kinds) {
    my ($title, $conf) = @{ $kinds[$i] };
    my @bodies = record($i, $conf, $points, 'none');
    my @texts = map { unpacked($_) } @bodies;
    my ($n, $raw, $packed) = (0, 0, 0);
    $n += tr/\n// for @texts;
    $raw += length for @texts;
    $packed += length for @bodies;
    die "$n of $points lines\n" if $n < $points * 0.99;
    my @influx = in_influx($n, @bodies);
    my @victoria = in_victoria($n, @bodies);
    printf "| %s | %.0f | %.0f | %.1f | %.1f | %d |\n", $title, $raw / $n,
        $packed / $n, $influx[0], $victoria[0], $influx[2];
    push @{ $cpu{influx} }, $influx[1];
    push @{ $cpu{victoria} }, $victoria[1];
    $lines_a_body //= $n / @bodies;
}

# What is written in intervals, whatever the number of requests.
my $seconds_of = $ENV{BENCH_QUICK} ? 30 : 65;
my @bodies = record('intervals', 'InfluxMetricsSample 0',
    $rate * $seconds_of, 'self=10s');
my (%lines, %bytes, %times);
for (map { split /^/, unpacked($_) } @bodies) {
    my ($name) = /^([^, ]+)/;
    $lines{$name}++;
    $bytes{$name} += length;
    $times{$name}{$1} = 1 if /(\d+)\d{9}$/;
}
print "\nWhat is written beside the points, with ten virtual hosts, four children "
    . "of 16 workers and the defaults of InfluxMetricsReport:\n\n"
    . "| measurement | lines each time | bytes of a line |\n|---|---|---|\n";
for (sort keys %lines) {
    printf "| `%s` | %.0f | %.0f |\n", $_, $lines{$_} / keys %{ $times{$_} },
        $bytes{$_} / $lines{$_};
}
printf "\nBytes a point: %d requests of each kind, recorded at %d requests a second "
    . "(%.0f lines a body); the databases have compacted them. VictoriaMetrics "
    . "stores text as a series of zeros. Processor seconds for a million points "
    . "with start and compaction: InfluxDB %.1f, VictoriaMetrics %.1f.\n",
    $points, $rate, $lines_a_body,
    map { my $sum = 0; $sum += $_ for @{ $cpu{$_} }; $sum / @{ $cpu{$_} } }
    qw(influx victoria);

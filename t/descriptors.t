# What a CGI program inherits: descriptors 0, 1 and 2, and none of ours, while
# the child that delivers has a transfer under way, looks up a name, or waits
# for an InfluxDB that hangs.  Nor does that wait cost a processor.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use ImxTls;
use POSIX ();
use Test::More;

# What survived the exec has no close-on-exec flag; what perl opened has one.
my $program = <<'PERL';
print "Content-Type: text/plain\n\nlist\n";
for my $fd (sort { $a <=> $b } map { m{(\d+)$} } glob '/proc/self/fdinfo/*') {
    open my $f, '<', "/proc/self/fdinfo/$fd" or next;
    my ($flags) = join('', <$f>) =~ /^flags:\s*([0-7]+)/m or next;
    next if oct($flags) & 02000000 || $fd <= 2;
    print "$fd ", readlink("/proc/self/fd/$fd") // '?', "\n";
}
PERL

my $s = ImxStandin->new(hang => sub { return { hang => 1 } });

# TLS in front of it, which ends each connection with the answer.
my $ca = ImxTls->new;
my ($cert, $key) = $ca->issue('IP:127.0.0.1');
my $front = httpd(modules => [qw(ssl proxy proxy_http)], vhosts => [
    good => join "\n", 'SSLEngine on', "SSLCertificateFile $cert",
        "SSLCertificateKeyFile $key", 'KeepAlive Off',
        'ProxyPass / ' . $s->url('/')]);

sub server {
    my ($mpm, $cgi, $influx, @conf) = @_;
    my $h = httpd(module => 1, influx => $influx, mpm => $mpm, children => 1,
        figures => 1, modules => [$cgi, 'alias'], start => 0);
    my $dir = $h->dir;
    $h->put('cgi/fds.cgi', "#!$^X\n$program", 0755);
    $h->reconf(conf => join "\n", "ScriptAlias /cgi/ $dir/cgi/",
        'InfluxMetricsInterval 100ms', 'InfluxMetricsTimeout 1s 60s',
        ($cgi eq 'cgid' ? "ScriptSock $dir/run/cgid" : ()), @conf);
    return $h->start;
}

# What a program inherits, in n looks.
sub inherited {
    my ($h, $n) = @_;
    my %seen;
    for (1 .. $n) {
        my $r = get($h->url('/cgi/fds.cgi'));
        my ($first, @lines) = split /\n/, $r->{content};
        return ("no list: $r->{status} $r->{content}") if $first ne 'list';
        $seen{$_} = 1 for @lines;
    }
    return sort keys %seen;
}

# Seconds of processor that the children have used.
sub cpu {
    my ($h) = @_;
    my $ticks = 0;
    for my $pid ($h->children) {
        my @f = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\) //r;
        $ticks += $f[11] + $f[12];
    }
    return $ticks / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

for my $mpm (qw(prefork worker event)) {
    for my $cgi (qw(cgi cgid)) {
        subtest "$mpm, mod_$cgi" => sub {
            $s->mode('ok');
            my $h = server($mpm, $cgi, $s->url);
            is_deeply([inherited($h, 30)], [], 'while points are delivered');
            ok(wait_until(20, sub { figures($h)->{points_sent} > 0 }),
                'and they are');
            my $before = grep { $_->{mode} eq 'hang' } $s->requests;
            $s->mode('hang');
            get($h->url('/'));
            ok(wait_until(20, sub {
                $before < grep { $_->{mode} eq 'hang' } $s->requests }),
                'InfluxDB hangs');
            is_deeply([inherited($h, 10)], [], 'while it hangs');
            my $begin = cpu($h);
            nap(1.5);
            cmp_ok(cpu($h) - $begin, '<', 0.3 * slow(),
                'waiting costs no processor');
            $h->stop;
        };
    }
    subtest "$mpm, https, a new connection each time" => sub {
        $s->mode('ok');
        my $h = server($mpm, 'cgi', ImxTls::url($front, 'good'),
            'InfluxMetricsTLSCAFile ' . $ca->file);
        is_deeply([inherited($h, 50)], [], 'while points are delivered');
        ok(wait_until(20, sub { figures($h)->{points_sent} > 10 }),
            'and they are');
        $h->stop;
    };
    subtest "$mpm, a name that is looked up" => sub {
        my $h = server($mpm, 'cgi', 'http://unknown.invalid:8086');
        my @seen = inherited($h, 1);
        ok(wait_until(30, sub {
            push @seen, inherited($h, 5);
            grep { /IMX0020:/ } $h->error_log }), 'it is told of');
        is_deeply(\@seen, [], 'meanwhile');
        $h->stop;
    };
}

finish();

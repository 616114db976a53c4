# A machine without a clock of its own begins in 1970 and is told the time later.
# A request under way meanwhile has not taken 56 years: no request is older than
# the child that serves it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

plan skip_all => 'a sanitizer is preloaded' if $ENV{IMX_PRELOAD};

my $db = influxd();
my $pause = 0.3;

# The real clock of httpd is wrong by so many ns from now on.
my $file = work_dir() . '/clock';
sub set_clock { spew($file, pack 'q', $_[0]) }
sub real_off { return -int(time) * 1_000_000_000 + 3_600_000_000_000 }

set_clock(0);
local %ENV = (%ENV, IMX_PRELOAD => build() . '/unit/clock.so',
    IMX_CLOCK => $file);
die "$ENV{IMX_PRELOAD} is not there: run make units\n"
    if !-e $ENV{IMX_PRELOAD};

# The file is mapped: it is written in place.
sub step {
    my ($ns) = @_;
    open my $f, '+<:raw', $file or die "$file: $!";
    syswrite $f, pack 'q', $ns;
    close $f;
}

my $h = httpd(module => 1, influx => $db, children => 1, threads => 8,
    modules => ['cgid', 'alias'], start => 0, conf => sub { <<"CONF" });
InfluxMetricsInterval 100ms
InfluxMetricsFields +server_time +input_time +output_time +uri
InfluxMetricsDatabase clock
ScriptAlias /cgi/ $_[0]{dir}/htdocs/cgi/
CONF
$h->put('htdocs/cgi/app', <<'CGI', 0755);
#!/usr/bin/perl
print "Content-Type: text/plain\r\n\r\n";
select undef, undef, undef, 0.6;
print "app\n";
CGI
$h->start;

# The step comes while the header is under way, while the handler is, or when
# there is none; or in a body that is read before there is one.
my %request = (
    '/index.html' => "GET /index.html HTTP/1.1\r\nHost: x\r\n",
    '/cgi/app' => "GET /cgi/app HTTP/1.1\r\nHost: x\r\n",
    '/none/%2f' => "GET /none/%2f HTTP/1.1\r\nHost: x\r\n",
    '/sub' => "POST /sub HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
        . "GET /last HTTP/1.1\r\nHost: x\r\n",
);
$h->put('htdocs/sub/index.html', "sub\n");
for my $path (sort keys %request) {
    step(real_off());
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        my $text = $request{$path} . "Connection: close\r\n\r\n";
        my $pause_at = $path eq '/sub' ? index($text, 'dyGET')
            : length($text) - 2;
        raw($h->port, $text, $path =~ /cgi/ ? ()
            : (pause => [$pause_at, 2 * $pause]));
        POSIX::_exit(0);
    }
    nap($pause);
    step(0);
    waitpid $pid, 0;
}
count_is($db, 5, 'five points', database => 'clock');
my @points = $db->query('SELECT * FROM "raw-requests"', 'clock');
for my $p (sort { $a->{uri} cmp $b->{uri} } @points) {
    cmp_ok($p->{request_time}, '<', 60, "$p->{uri}: request_time is not that of "
        . 'the clock') or diag explain $p;
    my $sum = 0;
    $sum += $p->{$_} // 0 for qw(server_time application_time input_time
        output_time);
    cmp_ok(abs($sum - $p->{request_time}), '<', 6e-6, '... nor are its phases');
}

finish();

# The real clock is set while a request runs: it is seen as slow all the same,
# and for as long as it has really run.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxApp;
use ImxMeasured;
use ImxTest;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'a sanitizer is preloaded' if $ENV{IMX_PRELOAD};

my $db = influxd();
my $hour = 3_600_000_000_000;
my $file = work_dir() . '/clock';
spew($file, pack 'q', 0);
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
    figures => 1, report => 'none slow=1s', modules => ['cgid', 'alias'],
    start => 0, conf => sub { <<"CONF" });
InfluxMetricsDatabase clock
InfluxMetricsInterval 100ms
ScriptAlias /cgi/ $_[0]{dir}/htdocs/cgi/
CONF
mkdir $h->dir . '/htdocs/cgi';
$h->put('htdocs/cgi/app', ImxApp::cgi(), 0755);
$h->start;

for my $off (-$hour, $hour) {
    my $name = 'set ' . ($off < 0 ? 'back' : 'forward');
    step(0);
    my $began = time;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        get($h->url('/cgi/app?app=4'));
        POSIX::_exit(0);
    }
    nap(0.5);
    step($off);
    my $slow;
    ok(wait_until(3, sub { ($slow) = @{ figures($h)->{slow} }; $slow }),
        "$name: seen");
    cmp_ok(abs($slow->{elapsed} - (time - $began)), '<', 5 * slow(),
        "$name: for as long as it runs") if $slow;
    waitpid $pid, 0;
}
my @points;
wait_until(20, sub {
    @points = $db->query('SELECT * FROM "slow-requests"', 'clock');
    return 2 <= grep { $_->{waits_for} eq 'ended' } @points;
});
my @ends = grep { $_->{waits_for} eq 'ended' } @points;
is(scalar @ends, 2, 'a point of the end of each');
cmp_ok(abs($_->{elapsed} - 4), '<', 5 * slow(), '... as long as it took')
    for @ends;

finish();

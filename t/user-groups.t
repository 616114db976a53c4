# A file that the server's user may read by one of its other groups: httpd -t and
# the start find that out as httpd's children do, also with `User #33`, where the
# groups are those of the name that this number has.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use Test::More;

plan skip_all => 'only root can start httpd as another user' if $>;

# The groups that the server sees: in its own mounts another file is there.
my $groups = work_dir() . '/group';
my @elsewhere = ('unshare', '--mount', 'sh', '-c',
    "mount --bind $groups /etc/group && exec \"\$@\"", 'sh');
spew($groups, slurp('/etc/group'), 0644);
plan skip_all => 'nothing can be mounted here'
    if system("@elsewhere[0 .. 3] 'mount --bind $groups /etc/group' 2>/dev/null");

my $standin = ImxStandin->new;
my $h = httpd(module => 1, influx => $standin->url, children => 1, start => 0,
    through => \@elsewhere);
my ($user) = slurp($h->dir . '/httpd.conf') =~ /^User (\S+)/m;
my ($uid, $gid) = (getpwnam $user)[2, 3];
my $other = 64_321;     # a group that nobody has
my $token = $h->put('token', "token-of-a-group\n", 0640);
chown 0, $other, $token;

sub has_group {
    spew($groups, slurp('/etc/group') . "imx-test:x:$other:$_[0]\n", 0644);
}

for my $who ($user, "#$uid") {
    $h->reconf(conf => "User $who\nGroup #$gid\nInfluxMetricsBucket o b\n"
        . "InfluxMetricsTokenFile $token");
    has_group('root');
    my ($ok, $text) = $h->configtest;
    ok(!$ok, "User $who: not in the group of the file");
    like($text, qr/IMX0013: InfluxMetricsTokenFile: .*: Permission denied/, 'is said');
    has_group($user);
    ($ok, $text) = $h->configtest;
    ok($ok, "User $who: in the group of the file") or diag $text;
}

ok(eval { $h->start; 1 }, 'it starts') or diag $@;
get($h->url);
my $request;
ok(wait_until(20, sub { ($request) = grep { $_->{path} =~ /write/ } $standin->requests }),
    'and delivers');
is(($request // {})->{headers}{authorization}, 'Token token-of-a-group',
    'with what is in the file');
finish();

# Debian's package in a system of its own: installed, it serves and counts;
# upgraded under load, nothing is lost; removed, its configuration is kept;
# purged, nothing is left.
#
# IMX_PACKAGE=1 (make test-package) builds it as Debian does, twice, with the
# same bytes, and lets lintian, blhc and hardening-check look at it; without, the
# package is made of the module that is built already.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use ImxTree;
use Test::More;

my $name = 'libapache2-mod-influx-metrics';
my $whole = $ENV{IMX_PACKAGE};
my $dir = work_dir();

my ($missing) = grep { !which_one($_) } qw(dh dh_apache2 dpkg-buildpackage),
    $whole ? qw(lintian blhc hardening-check) : ();
my $why = $missing ? "$missing is not installed" : ImxTree::missing();
plan(skip_all => $why) if $why;
plan skip_all => 'a sanitizer is preloaded' if $ENV{IMX_PRELOAD};

# The sources once more, and another version of them.
sub sources {
    my ($place, $version) = @_;
    my $to = "$dir/$place/mod-influx-metrics";
    mkdir "$dir/$place";
    mkdir $to;
    my $text = `cd @{[top()]} && sh tools/dist.sh list | tar --no-recursion -T - -cf - 2>&1 | tar xf - -C $to 2>&1`;
    is($?, 0, "the sources in $place") or diag $text;
    my $changes = slurp("$to/debian/changelog");
    $changes =~ s/\((\S+)\)/($1+1)/ if $version;
    spew("$to/debian/changelog", $changes);
    return $to;
}

sub built {
    my ($place, $command) = @_;
    delete local @ENV{grep { /^(?:MAKE|MFLAGS|GNUMAKE)/ } keys %ENV};
    my $log = "$dir/$place/build.log";
    system("cd $dir/$place/mod-influx-metrics && $command >$log 2>&1") == 0
        or return diag slurp($log);
    my ($deb) = grep { !/dbgsym/ } glob "$dir/$place/${name}_*.deb";
    return $deb;
}

# Made of the module that is there.
sub short {
    my ($place, $version) = @_;
    my $to = sources($place, $version);
    mkdir "$to/build";
    spew("$to/build/mod_influx_metrics.so",
        slurp(build() . '/mod_influx_metrics.so'));
    return built($place, 'fakeroot debian/rules binary MAKE=true');
}

# As Debian builds it.
sub long {
    my ($place) = @_;
    sources($place);
    return built($place, 'dpkg-buildpackage -us -uc');
}

my ($old, $new);
if ($whole) {
    $old = long('one');
    ok($old, 'dpkg-buildpackage') or BAIL_OUT('there is no package');
    my ($changes) = glob "$dir/one/*.changes";
    my $text = `lintian --fail-on error,warning --allow-root $changes 2>&1`;
    is($?, 0, 'lintian finds neither errors nor warnings') or diag $text;
    $text = `blhc --all $dir/one/build.log 2>&1`;
    is($?, 0, 'blhc finds all hardening flags') or diag $text;
    system("dpkg-deb -x $old $dir/one/x");
    # It looks for code that this compiler makes for another processor only.
    my ($so) = glob "$dir/one/x/usr/lib/apache2/modules/*.so";
    $text = `hardening-check --nopie --nocfprotection $so 2>&1`;
    is($?, 0, 'hardening-check') or diag $text;
    my $again = long('two');
    ok($again && slurp($old) eq slurp($again),
        'built again, elsewhere: the same bytes');
    $new = short('new', 1);
}
else {
    ($old, $new) = (short('one'), short('new', 1));
}
ok($old && $new, 'the packages of two versions') or BAIL_OUT('no package');

# A reader of the manual finds what it leads to, but for licences, which Debian has
# in a place of its own, and for sources.
system("dpkg-deb -x $old $dir/unpacked") == 0 or die 'dpkg-deb';
my $manual = "$dir/unpacked/usr/share/doc/$name";
my @pages = ("$manual/README.md", glob "$manual/{docs,dashboards}/*.md");
cmp_ok(scalar @pages, '>=', 20, 'the manual is in it');
my @dead;
for my $page (@pages) {
    my ($in) = $page =~ m{^(.*)/};
    push @dead, map { "$page: $_" } grep { !-e "$in/$_" } grep {
        !/^https?:|LICENSE$|^\.\.\/tools\// } slurp($page) =~ /\]\(([^)#\s]+)/g;
}
is_deeply(\@dead, [], '... and its links lead somewhere');

# The dashboards are installed as their page says, of what the package has.
my ($commands) = slurp("$manual/dashboards/README.md")
    =~ /^## Installing them\n.*?\n((?: {4}[^\n]*\n)+)/ms;
my $grafana = "$dir/grafana";
mkdir $grafana;
mkdir "$grafana/provisioning";
$commands =~ s{/(?:etc|var/lib)/grafana}{$grafana}g;
my $said = `cd $manual/dashboards && { $commands } 2>&1`;
is($said, '', 'the dashboards can be copied');
is_deeply([map { s{^\Q$grafana\E/}{}r } sort glob
    "$grafana/dashboards/httpd/* $grafana/provisioning/*/*"],
    [(map { "dashboards/httpd/$_.json" }
        qw(delivery raw-requests request-metrics server)),
    map { "provisioning/$_/httpd.yaml" } qw(alerting dashboards datasources)],
    '... under names that Grafana reads');

my $db = influxd();
$db->query('CREATE DATABASE httpd');
my $tree = ImxTree->new;
my $port = $tree->port;

sub tree_ok {
    my ($command, $what) = @_;
    my ($rc, $text) = $tree->run($command);
    is($rc, 0, $what) or diag $text;
    return $text;
}

sub requests { return scalar(() = $tree->slurp('/var/log/apache2/access.log') =~ /\n/g) }

# All requests of the log, no more and no less.
sub points_are_there {
    my ($what, $since) = @_;
    wait_until(30, sub { $db->count('raw-requests', 'httpd') == requests() - $since });
    is($db->count('raw-requests', 'httpd'), requests() - $since, $what);
}

# The index of manuals takes a minute, twice.
$tree->run('rm -f /var/lib/man-db/auto-update');

# What Debian installs, configured as it comes, but for the port.
$tree->spew('/usr/sbin/policy-rc.d', "#!/bin/sh\nexit 101\n", 0755);
tree_ok('dpkg -s apache2 >/dev/null 2>&1 || { apt-get -qq update; '
    . 'apt-get -qq install -y --no-install-recommends apache2; }',
    'apache2 is there');
$tree->spew('/etc/apache2/ports.conf', "Listen 127.0.0.1:$port\n");
$tree->spew('/etc/apache2/sites-available/000-default.conf', <<"CONF");
ServerName imx.test
<VirtualHost *:$port>
    DocumentRoot /var/www/html
    CustomLog /var/log/apache2/access.log combined
</VirtualHost>
CONF
$tree->spew('/var/www/html/index.html', "hello world\n");
# Where InfluxDB is, before the package is there.
$tree->spew('/etc/apache2/conf-enabled/here.conf', <<"CONF");
<IfModule mod_influx_metrics.c>
InfluxMetricsServer @{[$db->url]}
InfluxMetricsReport none
</IfModule>
CONF
$tree->spew('/usr/sbin/policy-rc.d', "#!/bin/sh\nexit 0\n", 0755);
tree_ok('/etc/init.d/apache2 start', 'httpd starts');
ok(wait_until(20, sub { get("http://127.0.0.1:$port/")->{status} == 200 }),
    'and serves');
# httpd logs it behind its answer.
wait_until(20, sub { requests() > 0 });
my $before = requests();
my @before = grep { !m{^/var/(?:log|cache)/} } $tree->files;
sub install {
    my ($deb, $what) = @_;
    $tree->spew("/root/$name.deb", slurp($deb));
    my $text = tree_ok("dpkg --force-confold -i /root/$name.deb", $what);
    unlike($text, qr/configuration is broken/, 'and httpd takes it');
    $tree->run("rm /root/$name.deb");
}

install($old, 'dpkg -i');
my ($enabled) = $tree->run('a2query -m influx_metrics');
is($enabled, 0, 'it is switched on');
load(url => "http://127.0.0.1:$port/index.html", n => 500, c => 4, keepalive => 1);
points_are_there('each request is a point', $before);

# The administrator's own line, and httpd under load.
my $conf = '/etc/apache2/mods-available/influx_metrics.conf';
my $mine = $tree->slurp($conf) =~ s/^<\/IfModule>/    InfluxMetricsGzip off\n<\/IfModule>/mr;
$tree->spew($conf, $mine);
my $load = client(port => $port, c => 4, rate => 100, seconds => 8, close => 1);
nap(1);
install($new, 'upgraded under load');
my (undef, $version) = $tree->run("dpkg-query -W -f '\${Version}' $name");
like($version, qr/\+1$/, 'to the next version');
my $r = $load->wait;
cmp_ok($r->{complete}, '>', 500, 'requests were answered meanwhile');
is($r->{broken}, 0, 'all of them');
unlike($tree->slurp('/var/log/apache2/error.log'), qr/caught SIGTERM/,
    'by graceful restarts');
points_are_there('nothing was lost', $before);
is($tree->slurp($conf), $mine, "the administrator's file is as it was");

tree_ok('a2dismod -q influx_metrics && apache2ctl graceful', 'a2dismod');
tree_ok('a2enmod -q influx_metrics && apache2ctl graceful', 'a2enmod');

tree_ok("dpkg -r $name", 'removed');
ok(!-e $tree->path('/usr/lib/apache2/modules/mod_influx_metrics.so'),
    'the module is gone');
is($tree->slurp($conf), $mine, 'its configuration is kept');
isnt(($tree->run('a2query -m influx_metrics'))[0], 0, 'and is switched off');
ok(wait_until(20, sub { get("http://127.0.0.1:$port/")->{status} == 200 }),
    'httpd serves without it');
tree_ok('apache2ctl configtest', 'and its configuration is right');

tree_ok("dpkg -P $name", 'purged');
my %before = map { $_ => 1 } @before;
my @left = grep { !$before{$_} && !m{^/var/(?:log|cache)/|^/var/lib/dpkg/[\w-]+$} }
    $tree->files;
is_deeply(\@left, [], 'nothing is left');
tree_ok('/etc/init.d/apache2 stop', 'httpd stops');

finish();

# make dist: a tarball with the version in its name, the same bytes from the
# clone and from itself; it builds.  make uninstall takes away what make install
# put there.  The spec file is one for rpm.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";
delete @ENV{grep { /^(?:MAKE|MFLAGS|GNUMAKE)/ } keys %ENV};
my $dir = work_dir();
my ($version) = slurp('src/base/version.h') =~ /"(\d[^"]*)"/;
my $name = "mod_influx_metrics-$version";

sub run_ok {
    my ($command, $what) = @_;
    my $text = `($command) 2>&1`;
    is($?, 0, $what) or diag $text;
    return $text;
}

like(`make -n dist`, qr/\b\Q$name\E\.tar\.gz/, 'make dist: the version is in the name');
run_ok("sh tools/dist.sh $dir/$name.tar.gz", 'a tarball');
run_ok("cd $dir && tar xzf $name.tar.gz", 'which can be unpacked');
my @files = split /\n/, `tar tzf $dir/$name.tar.gz`;
is(scalar(grep { !m{^\Q$name\E/} } @files), 0, 'all is in one directory');
ok(-s "$dir/$name/dashboards/raw-requests.json", 'a link leads to its file');
is(scalar(grep { m{/build/|\.so$|/\.git/} } @files), 0, 'and nothing is built');
run_ok("cd $dir/$name && sh tools/dist.sh $dir/again.tar.gz", 'again, from itself');
ok(slurp("$dir/$name.tar.gz") eq slurp("$dir/again.tar.gz"), 'the same bytes');
SKIP: {
    skip 'git is not installed', 2 if !which_one('git');
    run_ok("cd $dir/$name && git init -q && make dist && make dist",
        'make dist, twice in a clone');
    ok(slurp("$dir/$name.tar.gz") eq slurp("$dir/$name/$name.tar.gz"),
        'the tarball of the first time is not in the second');
}
run_ok("make -C $dir/$name BUILD=$dir/build LTO= $dir/build/o/src/base/errand.o "
    . "$dir/build/made/show/page_made.h", 'it builds');

my $to = "$dir/destination";
my $args = "BUILD=@{[build()]} DESTDIR=$to";
run_ok("make install $args", 'make install');
my $conf = "$to/etc/apache2/mods-available/influx_metrics.conf";
SKIP: {
    skip 'this httpd has no mods-available', 2 if !-e $conf;
    spew($conf, slurp($conf) . "# mine\n");
    run_ok("make uninstall $args", 'make uninstall');
    is(`cd $to && find . -type f`, "./etc/apache2/mods-available/influx_metrics.conf\n",
        "leaves the administrator's file and nothing else");
    run_ok("make install $args && cp conf/influx_metrics.conf $conf && make uninstall $args",
        'where nothing was changed');
    is(`cd $to && find . -type f -o -type l`, '', 'it leaves nothing');
}

# The whole spec file, with the module that is there in the place of a new one.
SKIP: {
    skip 'rpmbuild is not installed', 6 if !which_one('rpmbuild');
    my $so = build() . '/mod_influx_metrics.so';
    my $apxs = which_one('apxs') || which_one('apxs2');
    mkdir "$dir/bin";
    spew("$dir/bin/make", <<"SH", 0755);
#!/bin/sh
echo "\$@" >>$dir/made
mkdir -p build && cp $so build/
SH
    run_ok("PATH=$dir/bin:\$PATH rpmbuild --define '_topdir $dir/rpm' --define "
        . "'_tmppath $dir' --define '_httpd_apxs $apxs' --nodeps -ta $dir/$name.tar.gz",
        'rpmbuild');
    is(slurp("$dir/made"), "all APXS=$apxs\n", 'which builds with its apxs');
    my @source = glob "$dir/rpm/SRPMS/$name-1*.src.rpm";
    is(scalar @source, 1, 'makes a source package');
    my ($rpm) = glob "$dir/rpm/RPMS/*/$name-1*.rpm";
    ok($rpm, 'and one to install') or last SKIP;
    my %has = map { ($_ => 1) } split /\n/, `rpm -qpl $rpm`;
    my ($libdir) = map { m{^(.*)/httpd/modules/mod_influx_metrics\.so$} } sort keys %has;
    is_deeply([grep { !$has{$_} } ($libdir // 'no') . '/httpd/modules/mod_influx_metrics.so',
        map { "/etc/httpd/$_" } qw(conf.d/influx_metrics.conf
        conf.modules.d/10-influx_metrics.conf)], [], "... where httpd looks for it");
    is(`rpm -qpc $rpm`, join('', map { "/etc/httpd/$_\n" }
        qw(conf.d/influx_metrics.conf conf.modules.d/10-influx_metrics.conf)),
        '... and whose configuration is kept');
}

finish();

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
is(scalar(grep { m{/build/|\.so$|/\.git/} } @files), 0, 'and nothing is built');
run_ok("cd $dir/$name && sh tools/dist.sh $dir/again.tar.gz", 'again, from itself');
ok(slurp("$dir/$name.tar.gz") eq slurp("$dir/again.tar.gz"), 'the same bytes');
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

SKIP: {
    skip 'rpmbuild is not installed', 1 if !which_one('rpmbuild');
    like(run_ok("rpmbuild --define '_topdir $dir/rpm' -ts $dir/$name.tar.gz",
        'rpmbuild makes a source package'), qr/Wrote: .*\.src\.rpm/, 'of the tarball');
}

finish();

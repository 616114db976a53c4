# ImxPython.pm: the Python of the benchmarks: the workshop's steps and mod_wsgi
# with the packages they need, from PyPI, kept in build/venv.
package ImxPython;

use strict;
use warnings;
use FindBin;
use ImxTest;

our $INFLUXDB = 'influxdb==5.3.2';
our $MOD_WSGI = 'mod_wsgi==6.1.1';

sub venv { return build() . '/venv' }

# As mod_wsgi-express sets it up: one daemon process with five threads.
sub site {
    my ($python, $step, $more) = @_;
    my $conf = sub {
        my ($httpd) = @_;
        return $python->{conf} . ($more // '') . <<"CONF";
WSGISocketPrefix @{[ $httpd->dir ]}/run/wsgi
WSGIDaemonProcess bench processes=1 threads=5 python-path=$python->{dir}
WSGIProcessGroup bench
WSGIApplicationGroup %{GLOBAL}
WSGIScriptAlias / $python->{dir}/$step.wsgi
<Directory $python->{dir}>
Require all granted
</Directory>
CONF
    };
    return (conf => $conf, modules => $python->{modules});
}

# A directory that the server's user can read, with the workshop's steps and
# the packages they need: from PyPI, kept in build/venv. mod_wsgi is Debian's
# when PyPI's cannot be built here.
sub stage {
    my $dir = work_dir() . '/python';
    my $venv = venv();
    install($_) for $INFLUXDB, $MOD_WSGI;
    my ($packages) = glob "$venv/lib/python3*/site-packages";
    die "influxdb from PyPI is not there\n" if !-d "$packages/influxdb";
    system('cp', '-r', $packages, $dir) == 0 or die "cp: $?\n";
    system('sh', '-c', 'cp "$1"/*.py "$1"/*.wsgi "$2"', 'sh',
        "$FindBin::Bin/workshop", $dir) == 0 or die "cp: $?\n";
    my ($so) = glob "$packages/mod_wsgi/server/mod_wsgi-*.so";
    return { dir => $dir, name => "mod_wsgi from PyPI ($MOD_WSGI)",
        conf => "LoadModule wsgi_module $so\n", modules => [] } if $so;
    return { dir => $dir, name => "Debian's mod_wsgi (PyPI's did not build)",
        conf => '', modules => ['wsgi'] };
}

# True if it is there.  With Debian's Python, not one that happens to be first in
# PATH: mod_wsgi links its shared library.
sub install {
    my ($package) = @_;
    my $venv = venv();
    my $done = "$venv/" . $package =~ s/==/-/r . '.installed';
    return 1 if -e $done;
    print STDERR "# installing $package from PyPI\n";
    my $python3 = which_one('/usr/bin/python3', 'python3')
        // die "no python3\n";
    system('sh', '-c', '{ test -x "$1/bin/pip" || "$2" -m venv "$1"; } '
        . '&& "$1/bin/pip" install -q "$3" >"$1/pip.log" 2>&1 && : >"$4"',
        'sh', $venv, $python3, $package, $done) == 0
        or warn "$package could not be installed: see $venv/pip.log\n";
    return -e $done;
}

1;

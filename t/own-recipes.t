# An application adds numbers to the point of its request: each recipe of
# docs/own-numbers.md, taken from there, with the real runtime.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxPoints;
use ImxTest;
use IO::Socket::INET;
use POSIX ();
use Test::More;

my $manual = slurp(top() . '/docs/own-numbers.md');

# The indented blocks below a heading.
sub blocks {
    my ($heading) = @_;
    my ($section) = $manual =~ /^### \Q$heading\E\n(.*?)(?=^#|\z)/ms
        or die "no recipe for $heading";
    my @blocks = $section =~ /((?:^    .*\n|^\n(?=    ))+)/mg;
    s/^    //mg, s/^\n+// for @blocks;
    return @blocks;
}

my ($directives) = $manual =~ /^(    InfluxMetricsField items.*?)\n\n/ms;
my $db = influxd();
my $curl = which_one('curl') or die 'no curl';
my %app;        # runtime => pid

END { kill KILL => values %app }

# A program that listens on a port; what it is given as PORT.
sub start {
    my ($name, @command) = @_;
    my $port = free_port();
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', work_dir() . "/$name.log" or die $!;
        open STDERR, '>&', \*STDOUT;
        $ENV{PORT} = $port;
        exec @command or POSIX::_exit(127);
    }
    $app{$name} = $pid;
    ok(wait_until(60, sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port) }), "$name listens")
        or diag slurp(work_dir() . "/$name.log");
    return $port;
}

# The answer is the application's, without the headers; the point has them.
sub is_right {
    my ($h, $name, $path, $db_time) = @_;
    my $n = 3;
    for (1 .. $n) {
        my $answer = qx($curl -sSi @{[ $h->url($path) ]});
        like($answer, qr/^HTTP\S+ 200 .*\bhello\n\z/s, "$path answers");
        unlike($answer, qr/^X-(?:Items|DB-Time|Tenant)/mi,
            'the client does not get the headers');
    }
    my @points = points($db, $name, $n);
    is(scalar(grep { ($_->{items} // 0) == 3 } @points), $n, 'items');
    is(scalar(grep { ($_->{tenant} // '') eq 'acme' } @points), $n, 'tenant');
    is(scalar(grep { ($_->{db_time} // 0) > 0 && $_->{db_time} < 5
        && (!$db_time || $_->{db_time} == $db_time) } @points), $n, 'db_time');
    is_deeply([$h->complaints], [], 'no complaint');
}

sub modules_dir {
    chomp(my $dir = qx(apxs -q LIBEXECDIR));
    return $dir;
}

sub run_php {
    my (%o) = @_;
    my ($h, $name) = server($db, start => 0, children => 1, %o,
        conf => sub { $o{conf}->($_[0]) . "\n$directives\n" });
    my ($code) = blocks('PHP');
    $h->put('htdocs/shop.php', $code);
    $h->start;
    is_right($h, $name, '/shop.php');
}

subtest 'PHP as CGI' => sub {
    my $php = which_one('php-cgi') or plan skip_all => 'no php-cgi';
    run_php(modules => [qw(alias cgid actions)], conf => sub { <<"CONF" });
ScriptAlias /php-cgi $php
Action application/x-httpd-php /php-cgi
AddHandler application/x-httpd-php .php
<Directory @{[ $php =~ s{/[^/]*$}{}r ]}>
Require all granted
</Directory>
CONF
};

subtest 'PHP in httpd' => sub {
    my ($so) = glob modules_dir() . '/libphp*.so';
    plan skip_all => 'no mod_php' if !$so;
    # Without PHP's own extensions: it loads them in a way no sanitizer can bear.
    local $ENV{PHP_INI_SCAN_DIR} = work_dir() if $ENV{IMX_PRELOAD};
    run_php(mpm => 'prefork', conf => sub { <<"CONF" });
LoadModule php_module $so
AddHandler application/x-httpd-php .php
CONF
    my ($h, $name) = server($db, mpm => 'prefork', start => 0, children => 1,
        conf => <<"CONF");
LoadModule php_module $so
AddHandler application/x-httpd-php .php
InfluxMetricsField items int "%{note:items}"
CONF
    my ($note) = $manual =~ /`(apache_note\([^`]*\))`/;
    $h->put('htdocs/note.php', "<?php echo 'x'; $note;\n");
    $h->start;
    get($h->url('/note.php'));
    is((points($db, $name, 1))[0]{items}, 3, 'a note, behind the first output');
};

subtest 'Django' => sub {
    chomp(my $python = qx(sh @{[top()]}/tools/build-clients.sh django));
    plan skip_all => $python if $?;
    chomp(my $site = qx($python -c 'import django, os;
print(os.path.dirname(os.path.dirname(django.__file__)))'));
    my $copy = work_dir() . '/site';    # for the server's user
    system('cp', '-r', $site, $copy) == 0 or die "cp: $?";
    my ($middleware, $view) = blocks('Django');
    my ($h, $name) = server($db, start => 0, children => 1, modules => ['wsgi'],
        conf => sub { <<"CONF" });
WSGIScriptAlias /shop $_[0]{dir}/app.wsgi
WSGIDaemonProcess django processes=1 threads=2 python-path=$copy:$_[0]{dir}
WSGIProcessGroup django
WSGIApplicationGroup %{GLOBAL}
$directives
CONF
    $h->put('point.py', $middleware);
    $h->put('app.wsgi', <<"PYTHON" . $view =~ s/^/    /mgr . <<'PYTHON');
from django.conf import settings
settings.configure(
    SECRET_KEY='x', ALLOWED_HOSTS=['*'], ROOT_URLCONF='shop',
    MIDDLEWARE=['point.PointMiddleware'],
    DATABASES={'default': {'ENGINE': 'django.db.backends.sqlite3',
                           'NAME': ':memory:'}})
import sys, types
import django
django.setup()
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse
from django.urls import path

def page(request):
    with connection.cursor() as cursor:
        cursor.execute('SELECT 1 UNION SELECT 2 UNION SELECT 3')
        items = cursor.fetchall()
    response = HttpResponse('hello\\n', content_type='text/plain')
PYTHON
    return response

shop = types.ModuleType('shop')
shop.urlpatterns = [path('', page)]
sys.modules['shop'] = shop
application = get_wsgi_application()
PYTHON
    $h->start;
    is_right($h, $name, '/shop/');
};

sub is_proxied {
    my ($port) = @_;
    my ($h, $name) = server($db, children => 1, modules => [qw(proxy
        proxy_http)], conf => <<"CONF");
ProxyPass /shop http://127.0.0.1:$port/
$directives
CONF
    is_right($h, $name, '/shop', 0.0015);
}

subtest 'Node' => sub {
    my $node = which_one('node', 'nodejs') or plan skip_all => 'no node';
    my $file = spew(work_dir() . '/shop.js', (blocks('Node'))[0]);
    is_proxied(start('node', $node, $file));
};

subtest 'Java' => sub {
    my $java = which_one('java') or plan skip_all => 'no java';
    my $file = spew(work_dir() . '/Shop.java', (blocks('Java'))[0]);
    is_proxied(start('java', $java, '-Xmx128m', $file));
};

subtest 'CGI' => sub {
    my ($h, $name) = server($db, start => 0, children => 1,
        modules => [qw(alias cgid)], conf => sub { <<"CONF" });
ScriptAlias /shop $_[0]{dir}/shop.sh
$directives
CONF
    $h->put('shop.sh', (blocks('CGI'))[0], 0755);
    $h->start;
    is_right($h, $name, '/shop', 0.0015);
};

subtest 'mod_lua' => sub {
    my ($h, $name) = server($db, start => 0, children => 1, modules => ['lua'],
        conf => sub { <<"CONF" });
LuaMapHandler /shop $_[0]{dir}/shop.lua handle
$directives
CONF
    $h->put('shop.lua', (blocks('mod_lua'))[0]);
    $h->start;
    is_right($h, $name, '/shop', 0.0015);
};

finish();

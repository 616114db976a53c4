# Tags and fields that need other modules: the backend of a proxy, the user, the
# handler, TLS.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use ImxPoints;
use ImxTls;
use IO::Socket::UNIX;
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Test::More;

my $db = influxd();
sub by_uri {
    my ($field, @points) = @_;
    return { map { $_->{uri} => $_->{$field} } @points };
}

subtest 'backend' => sub {
    my @behind = map { httpd(children => 1, threads => 4) } 1 .. 2;
    my @port = map { $_->port } @behind;
    my $socket = work_dir() . '/backend.sock';
    my $listen = IO::Socket::UNIX->new(Local => $socket, Listen => 5)
        or die "$socket: $!";
    chmod 0777, $socket;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        while (my $s = $listen->accept) {
            sysread $s, my $request, 65536;
            syswrite $s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                . "Connection: close\r\n\r\nok";
        }
        POSIX::_exit(0);
    }
    my ($h, $name) = server($db, modules => [qw(proxy proxy_http proxy_ftp
        proxy_balancer lbmethod_byrequests slotmem_shm rewrite)], conf => <<"CONF");
InfluxMetricsTags +backend +handler
InfluxMetricsFields +uri
ProxyPass /plain http://127.0.0.1:$port[0]
ProxyPass /socket unix:$socket|http://app/
<Location /handler>
SetHandler "proxy:unix:$socket|http://localhost/"
</Location>
<Proxy balancer://two>
BalancerMember http://127.0.0.1:$port[0]
BalancerMember http://127.0.0.1:$port[1]
</Proxy>
ProxyPass /two balancer://two
RewriteEngine On
RewriteRule ^/rewritten http://127.0.0.1:$port[1]/index.html [P]
ProxyPass /down http://127.0.0.1:1/
ErrorDocument 503 /index.html
ProxyPass /login http://me:p\@ss\@127.0.0.1:$port[0]
<Proxy balancer://one>
BalancerMember http://me:secret\@127.0.0.1:$port[0]
</Proxy>
ProxyPass /member balancer://one
<Location /directory>
RewriteEngine On
RewriteRule ^.*\$ http://me:secret\@127.0.0.1:$port[0]/index.html [P]
</Location>
<Location /set>
SetHandler "proxy:http://me:secret\@127.0.0.1:$port[0]/"
</Location>
ProxyPass /ftp ftp://me:secret\@127.0.0.1:1
ProxyPass /refused http://me:secret\@127.0.0.1:$port[0]
ProxyPass /told http://me:secret\@127.0.0.1:$port[0]
<LocationMatch "^/(refused|told)">
Require all denied
</LocationMatch>
<Location /told>
ErrorDocument 403 /index.html
</Location>
<Location /missing>
ErrorDocument 404 /refused/document
</Location>
CONF
    get($h->url("/two/$_")) for 1 .. 4;
    get($h->url("/$_")) for qw(plain/index.html socket/x handler/x rewritten
        down/x index.html login/x member/x refused/x told/x
        missing/x ftp/x directory/x set/x);
    my @p = points($db, $name, 18);
    my $backend = by_uri(backend => @p);
    my %n;
    $n{ $backend->{"/two/$_"} }++ for 1 .. 4;
    is_deeply(\%n, { map { ("http://127.0.0.1:$_" => 2) } @port },
        'members of a balancer');
    is($backend->{'/plain/index.html'}, "http://127.0.0.1:$port[0]",
        'a server');
    is($backend->{'/socket/x'}, 'http://app', 'a socket of ProxyPass');
    is($backend->{'/handler/x'}, "unix:$socket", 'a socket of SetHandler');
    is($backend->{'/rewritten'}, "http://127.0.0.1:$port[1]", 'RewriteRule');
    is($backend->{'/down/x'}, 'http://127.0.0.1:1', 'one that is down,'
        . ' with an ErrorDocument');
    is($backend->{'/index.html'}, undef, 'a file has none');
    is($backend->{$_}, "http://127.0.0.1:$port[0]", "$_: no password")
        for '/login/x', '/member/x', '/directory/x', '/set/x';
    is($backend->{'/ftp/x'}, 'ftp://127.0.0.1:1', '... nor behind ftp');
    is($backend->{'/refused/x'}, undef, 'a request that httpd refused has none');
    is($backend->{'/told/x'}, undef, '... also with an ErrorDocument');
    is($backend->{'/missing/x'}, undef, '... and if it was the ErrorDocument');
    my $handler = by_uri(handler => @p);
    is($handler->{'/refused/x'}, undef, '... and no handler');
    is($handler->{'/set/x'}, "proxy:http://127.0.0.1:$port[0]/",
        '... and no password in that of SetHandler');
    is($handler->{'/plain/index.html'}, 'proxy-server', 'handler of a proxy');
    is($handler->{'/index.html'}, 'default-handler', 'handler of a file');
    kill KILL => $pid;
    waitpid $pid, 0;
};

subtest 'user' => sub {
    my ($h, $name) = server($db, modules => [qw(authn_core authn_file auth_basic
        authz_user)], conf => sub {
            my ($self) = @_;
            my ($hash) = `openssl passwd -1 -salt x secret` =~ /(\S+)/;
            $self->put('users', "ann:$hash\n");
            return <<"CONF";
InfluxMetricsTags +user
InfluxMetricsFields +uri
<Location /private>
AuthType Basic
AuthName private
AuthUserFile @{[$self->dir]}/users
Require valid-user
</Location>
<Location /broken>
AuthType Basic
AuthName private
AuthUserFile @{[$self->dir]}/no-such-file
Require valid-user
</Location>
CONF
        });
    my $login = sub {
        my ($path, $who) = @_;
        http('GET', $h->url($path), { headers => {
            Authorization => 'Basic ' . encode_base64($who, '') } })->{status};
    };
    is($login->('/private/a', 'ann:secret'), 404, 'she gets in');
    is($login->('/private/b', 'eve:guess'), 401, 'others do not');
    is($login->('/broken/c', 'eve:guess'), 500, 'nobody can be looked up');
    is(get($h->url('/'))->{status}, 200, 'nobody is asked for a file');
    my $user = by_uri(user => points($db, $name, 4));
    is_deeply($user, { '/private/a' => 'ann', '/private/b' => undef,
        '/broken/c' => undef, '/' => undef }, 'a user is who got in');
};

subtest 'TLS' => sub {
    my $ca = ImxTls->new;
    my ($cert, $key) = $ca->issue('IP:127.0.0.1');
    my ($h, $name) = server($db, modules => ['ssl'], conf =>
        "InfluxMetricsTags +scheme\nInfluxMetricsFields +tls_version\n",
        vhosts => ['tls.test' => "SSLEngine On\nSSLCertificateFile $cert\n"
            . "SSLCertificateKeyFile $key\n"]);
    my $url = $h->url('/', 'tls.test') =~ s/^http/https/r;
    for my $version ('1.2', '1.3') {
        my $pid = fork // die "fork: $!";
        exec 'curl', '-sSo', '/dev/null', '--cacert', $ca->file,
            "--tlsv$version", '--tls-max', $version, $url if !$pid;
        waitpid $pid, 0;
        is($?, 0, "curl with TLS $version");
    }
    get($h->url);
    my @p = points($db, $name, 3);
    is_deeply([sort map { ($_->{tls_version} // '-') . " $_->{scheme}" } @p],
        ['- http', 'TLSv1.2 https', 'TLSv1.3 https'], 'version and scheme');
};

finish();

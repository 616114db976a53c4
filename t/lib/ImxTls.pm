package ImxTls;
#
# Certificates, and httpd with mod_ssl and mod_proxy as the TLS in front of an
# InfluxDB.  Everything is in the test's work directory.
#
#   use ImxTest; use ImxTls;
#
#   my $ca = ImxTls->new;                # an authority of its own
#   $ca->file;                           # its certificate
#   my ($cert, $key) = $ca->issue('DNS:influx.example.org,IP:127.0.0.1',
#       expired => 1);                   # names as in subjectAltName
#   my $front = ImxTls::front($db,       # an ImxTest::Httpd
#       good => [$cert, $key, "more configuration"], ...);
#   ImxTls::url($front, 'good');         # https://127.0.0.1:PORT
#   $front->put('one.log', ...);         # ... as any httpd
#
use strict;
use warnings;
use ImxTest;

my $serial = 0;

# Runs openssl; it is silent, and what it has to say is said when it fails.
sub _openssl {
    my @command = ('openssl', @_);
    my $log = work_dir() . '/openssl.log';
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $log;
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    die "@command:\n" . slurp($log) if $?;
}

sub _key {
    my ($path) = @_;
    _openssl(qw(genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out),
        $path);
    chmod 0600, $path or die "$path: $!";
    return $path;
}

sub new {
    my ($class) = @_;
    my $dir = work_dir() . '/tls' . ++$serial;
    mkdir $dir, 0755 or die "$dir: $!";
    my $self = bless { dir => $dir, number => 0 }, $class;
    _key("$dir/ca.key");
    _openssl(qw(req -x509 -days 2 -subj), "/CN=authority $serial", '-key',
        "$dir/ca.key", '-out', $self->file);
    return $self;
}

sub file { "$_[0]{dir}/ca.pem" }

sub issue {
    my ($self, $names, %o) = @_;
    my $base = "$self->{dir}/" . ++$self->{number};
    my $key = _key("$base.key");
    spew("$base.ext", "subjectAltName=$names\n");
    _openssl(qw(req -new -subj /CN=imx -key), $key, '-out', "$base.csr");
    _openssl(qw(x509 -req -CAcreateserial -in), "$base.csr", '-CA', $self->file,
        '-CAkey', "$self->{dir}/ca.key", '-days', ($o{expired} ? -1 : 2),
        '-extfile', "$base.ext", '-out', "$base.pem");
    return ("$base.pem", $key);
}

sub front {
    my ($db, @hosts) = @_;
    return httpd(modules => [qw(ssl proxy proxy_http)],
        vhosts => hosts($db, @hosts));
}

# For $front->reconf(vhosts => ImxTls::hosts(...)): the same names.
sub hosts {
    my ($db, @hosts) = @_;
    my @vhosts;
    while (my ($name, $host) = splice @hosts, 0, 2) {
        my ($cert, $key, $more) = @$host;
        push @vhosts, $name => join "\n", 'SSLEngine on',
            "SSLCertificateFile $cert", "SSLCertificateKeyFile $key",
            'ProxyPass / ' . $db->url('/'), $more // '';
    }
    return \@vhosts;
}

sub url {
    my ($front, $name) = @_;
    return 'https://127.0.0.1:' . $front->port($name);
}

1;

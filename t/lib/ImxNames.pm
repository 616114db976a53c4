package ImxNames;
#
# An httpd whose virtual hosts have names that a page, a terminal or a parser
# could stumble over.
#
#   use ImxNames;
#   my $h = ImxNames::server(influx => $db);    # has /status; see ImxTest
#   ImxNames::ask($h);                          # a request of each host
#   my $held = ImxNames::hold($h, '/<b>?x');    # one that goes on until it is
#                                               # closed; its path: /held/<b>
#   @ImxNames::names;                           # as they are configured, bytes
#
use strict;
use warnings;
use IO::Socket::INET;
use ImxTest;

our @names = ('<script>alert(1)</script>', '"><img src=x onerror=alert(2)>',
    q{'onmouseover='alert(3)}, '&lt;b&gt;&amp;', '</script><!--',
    "esc\x1b[31m\x07\x01", "not\xff\xc0\xafutf8", "gr\xc3\xb6\xc3\x9fe.example",
    '__proto__', 'constructor', '${x}{{words}}', 'l' . 'o' x 890 . 'ng');

sub _quoted { return $_[0] =~ s/(["\\])/\\$1/gr }

sub server {
    my (%o) = @_;
    my @ports = map { free_port() } @names;
    my $hosts = join '', map { <<"CONF" } 0 .. $#names;
Listen 127.0.0.1:$ports[$_]
<VirtualHost 127.0.0.1:$ports[$_]>
ServerName "@{[ _quoted($names[$_]) ]}"
</VirtualHost>
CONF
    # Connects, and is never answered.
    my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5)
        or die "listen: $!";
    my $h = httpd(module => 1, report => 'slow=1s', %o,
        modules => ['proxy', 'proxy_http'], conf => <<"CONF" . $hosts);
ProxyPass /held/ http://127.0.0.1:@{[ $silent->sockport ]}/
<Location /status>
SetHandler influx-metrics
</Location>
CONF
    @$h{qw(odd_ports silent)} = (\@ports, $silent);
    return $h;
}

sub hold {
    my ($h, $path) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $h->{odd_ports}[0]) or die "connect: $!";
    $s->syswrite("GET /held$path HTTP/1.1\r\nHost: imx.test\r\n\r\n");
    return $s;
}

sub ask {
    my ($h, $path) = @_;
    get("http://127.0.0.1:$_" . ($path // '/')) for @{ $h->{odd_ports} };
}

1;

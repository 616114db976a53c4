package ImxNames;
#
# An httpd whose virtual hosts have names that a page, a terminal or a parser
# could stumble over.
#
#   use ImxNames;
#   my $h = ImxNames::server(influx => $db);    # has /status; see ImxTest
#   ImxNames::ask($h);                          # a request of each host
#   @ImxNames::names;                           # as they are configured, bytes
#
use strict;
use warnings;
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
    my $h = httpd(module => 1, %o, conf => <<"CONF" . $hosts);
<Location /status>
SetHandler influx-metrics
</Location>
CONF
    $h->{odd_ports} = \@ports;
    return $h;
}

sub ask {
    my ($h, $path) = @_;
    get("http://127.0.0.1:$_" . ($path // '/')) for @{ $h->{odd_ports} };
}

1;

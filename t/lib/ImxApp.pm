package ImxApp;
#
# One application, made in each way that httpd can call it, and a server for
# WebSocket-like connections behind mod_proxy.  What it does is said by the
# query, words with & between them:
#
#   read        reads the body
#   app=SEC     waits before its answer's header
#   late=SEC    waits behind it, which has gone out by then (but mod_wsgi sends
#               it with the first byte), and again between last byte and end
#   big=BYTES   makes an answer of that size, a piece at a time, else "app\n"
#
#   use ImxTest; use ImxApp;
#
#   $h->put('htdocs/app.cgi', ImxApp::cgi(), 0755);
#   $h->put('app.wsgi', ImxApp::wsgi());
#   my $fcgi = ImxApp->start('fcgi');    # fcgi://127.0.0.1:$fcgi->port/
#   my $echo = ImxApp->start('echo');    # http: switches to "echo", then
#                                        # sends back what it gets
#
use strict;
use warnings;
use IO::Socket::INET;
use ImxTest ();
our @ISA = ('ImxTest::Process');

sub cgi { <<'CGI' }
#!/usr/bin/perl
my %do = map { /^(\w+)=?(.*)/ } split /&/, $ENV{QUERY_STRING};
sub nap { select undef, undef, undef, $_[0] if $_[0] }
if (exists $do{read}) { my $body = do { local $/; <STDIN> } }
nap($do{app});
$| = 1;
print "Content-Type: text/plain\r\n\r\n";
nap($do{late});
my $left = $do{big} // 0;
print "app\n" if !$left;
while ($left > 0) {
    my $n = $left < 65536 ? $left : 65536;
    print 'x' x $n;
    $left -= $n;
}
nap($do{late});
CGI

sub wsgi { <<'PYTHON' }
import time

def answer(do):
    late = float(do.get('late', 0))
    left = int(do.get('big', 0))
    time.sleep(late)
    if not left:
        yield b'app\n'
    while left > 0:
        n = min(left, 65536)
        yield b'x' * n
        left -= n
    time.sleep(late)

def application(environ, start_response):
    words = environ['QUERY_STRING'].split('&')
    do = dict(word.partition('=')[::2] for word in words)
    if 'read' in do:
        environ['wsgi.input'].read()
    time.sleep(float(do.get('app', 0)))
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return answer(do)
PYTHON

# A process of its own, which forks for each connection.
sub start {
    my ($class, $what) = @_;
    my $self = $class->_init($what);
    my $log = "$self->{dir}/log";
    $self->_spawn($log, {}, $^X, '-I' . ImxTest::top() . '/t/lib', '-MImxApp',
        '-e', "ImxApp::serve($self->{port}, \\&ImxApp::_$what)");
    return $self->_wait_ready(sub {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $self->{port})
    }, $log);
}

sub serve {
    my ($port, $talk) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Listen => 100, ReuseAddr => 1) or die "$port: $!";
    $SIG{CHLD} = 'IGNORE';
    while (1) {
        my $s = $listener->accept or next;
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            close $listener;
            $talk->($s);
            exit 0;
        }
        close $s;
    }
}

# ---- FastCGI 1.0, a responder for one request a connection ----

my ($BEGIN, $END, $PARAMS, $STDIN, $STDOUT) = (1, 3, 4, 5, 6);

sub _bytes {
    my ($s, $n) = @_;
    my $got = '';
    while (length $got < $n) {
        sysread($s, $got, $n - length $got, length $got) or exit 0;
    }
    return $got;
}

# Type and content.
sub _record {
    my ($s) = @_;
    my (undef, $type, undef, $length, $padding)
        = unpack 'CCnnC', _bytes($s, 8);
    return ($type, substr _bytes($s, $length + $padding), 0, $length);
}

sub _send_record {
    my ($s, $type, $content) = @_;
    ImxTest::write_all($s, pack('CCnnCC', 1, $type, 1, length $content, 0, 0)
        . $content) or exit 0;
}

sub _length {
    my ($text) = @_;
    my ($n) = unpack 'C', $$text;
    $n = unpack('N', $$text) & 0x7fffffff if $n & 0x80;
    substr $$text, 0, ord $$text & 0x80 ? 4 : 1, '';
    return $n;
}

sub _params {
    my ($text) = @_;
    my %param;
    while (length $text) {
        my ($name, $value) = (_length(\$text), _length(\$text));
        $name = substr $text, 0, $name, '';
        $param{$name} = substr $text, 0, $value, '';
    }
    return %param;
}

sub _words {
    my %param = _params($_[0]);
    return map { /^(\w+)=?(.*)/ } split /&/, $param{QUERY_STRING};
}

sub _nap { select undef, undef, undef, $_[0] if $_[0] }

sub _fcgi {
    my ($s) = @_;
    my ($params, $type, $content, %do) = ('');
    do {
        ($type, $content) = _record($s);
        $params .= $content if $type == $PARAMS;
        %do = _words($params) if $type == $STDIN;
    } while $type != $STDIN || exists $do{read} && $content ne '';
    _nap($do{app});
    _send_record($s, $STDOUT, "Content-Type: text/plain\r\n\r\n");
    _nap($do{late});
    my $left = $do{big} // 0;
    _send_record($s, $STDOUT, "app\n") if !$left;
    while ($left > 0) {
        my $n = $left < 32768 ? $left : 32768;
        _send_record($s, $STDOUT, 'x' x $n);
        $left -= $n;
    }
    _nap($do{late});
    _send_record($s, $STDOUT, '');
    _send_record($s, $END, pack 'NCx3', 0, 0);
    1 while sysread $s, my $rest, 65536;    # else it might lose the answer
}

# ---- 101 Switching Protocols ----

sub _echo {
    my ($s) = @_;
    my $head = '';
    while ($head !~ /\r\n\r\n/) {
        sysread($s, $head, 65536, length $head) or return;
    }
    my ($protocol) = $head =~ /^Upgrade:\s*(\S+)/mi;
    ImxTest::write_all($s, "HTTP/1.1 101 Switching Protocols\r\n"
        . "Upgrade: $protocol\r\nConnection: Upgrade\r\n\r\n");
    while (sysread $s, my $bytes, 65536) {
        ImxTest::write_all($s, $bytes) or return;
    }
}

1;

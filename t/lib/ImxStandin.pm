package ImxStandin;
#
# A server in the place of InfluxDB, for what a real one cannot be made to do.
# It says what its present mode says, and remembers what it was asked and what
# it has stored.  Processes of its own; ended with the test.
#
#   use ImxTest; use ImxStandin;
#
#   my $s = ImxStandin->new(
#       busy => sub { my ($request) = @_; return answer(503, 'busy') },
#       ...);                       # 'ok' is there: 204, and all is stored
#   $s->url; $s->port;
#   $s->mode('busy');               # from the next request on
#   my @r = $s->requests;           # { mode, method, path, headers, lines, time }
#   $s->stored;                     # different lines; $s->copies: all of them
#
# A mode gets { method, path, headers, body, lines } (the body unpacked), and
# returns a hash, all of it optional:
#   bytes     what is sent, e.g. answer($status, $body, @header_lines)
#   store     lines to store: an array; or 1, all of them
#   pause     seconds between two bytes
#   endless   bytes that are repeated after it, until the other side closes
#   hang      1: nothing more, and the connection stays open
#   close     1: closes the connection
#   at        the time at which the answer begins
#
# influxdb3(%o) makes a mode that answers as InfluxDB 3 was seen to do: at the
# next whole second, when its log is flushed.  It has the three APIs.
#   bad       sub ($line): 1 for a line that it refuses besides those with a tab
#             in a tag's value
#   databases names that are there: five are the most, so a sixth is refused
#   max       bytes of a body (10 MB)
#   version   '3.6' or '3.10': what it says differs
#   now       1: it answers at once, as with no_sync=true
#
use strict;
use warnings;
use Exporter qw(import);
use Fcntl qw(:flock);
use IO::Socket::INET;
use IO::Uncompress::Gunzip qw(gunzip);
use ImxTest;
use JSON::PP qw(encode_json decode_json);
use POSIX ();
use Time::HiRes qw(time sleep);
our @ISA = ('ImxTest::Process');
our @EXPORT = qw(answer influxdb3);

sub answer {
    my ($status, $body, @headers) = @_;
    $body //= '';
    return { bytes => join("\r\n", "HTTP/1.1 $status Said",
        ($status == 204 ? () : 'Content-Length: ' . length $body), @headers,
        '', $body) };
}

# Tags end at the first blank without a backslash before it.
sub _has_tab { return $_[0] =~ /^(?:[^\\ ]|\\.)*\t/ }

sub _entry {
    my ($r, $i) = @_;
    return { original_line => substr($r->{lines}[$i], 0, 30),
        line_number => $i + 1, error_message => 'invalid column type' };
}

sub _refuse3 {
    my ($status, $text, @data) = @_;
    return answer($status, encode_json({ error => $text,
        (@data ? (data => \@data) : ()) }));
}

sub influxdb3 {
    my (%o) = @_;
    my $new = ($o{version} // '3.6') ne '3.6';
    my $max = $o{max} // 10 << 20;
    my $judge = sub {
        my ($r) = @_;
        my ($db) = $r->{path} =~ /[?&](?:db|bucket)=([^&]*)/;
        return _refuse3(400, 'invalid character in database or rp name: '
            . 'must be ASCII, containing only letters, numbers, underscores, '
            . 'or hyphens') if $db !~ /^[\w-]+$/;
        return _refuse3(422, 'Adding a new database would exceed limit of 5 '
            . 'databases') if $o{databases} && @{ $o{databases} } >= 5
            && !grep { $_ eq $db } @{ $o{databases} };
        return answer($new ? 413 : 500, "max request size ($max bytes) "
            . 'exceeded') if length $r->{body} > $max;
        my @bad = grep { _has_tab($r->{lines}[$_])
            || ($o{bad} && $o{bad}->($r->{lines}[$_])) } 0 .. $#{ $r->{lines} };
        return { %{ answer(204) }, store => 1 } if !@bad;
        my $v3 = $r->{path} =~ m{^/api/v3/};
        my @data = map { _entry($r, $_) } @bad[0 .. ($#bad < 99 ? $#bad : 99)];
        return _refuse3(400, $new ? 'line protocol parsing error'
            : 'write buffer error: parsing for line protocol failed')
            if !$v3;
        return _refuse3(400, 'parsing failed for write_lp endpoint',
            $data[0]) if $r->{path} !~ /accept_partial=true/;
        my %bad = map { $_ => 1 } @bad;
        return { %{ _refuse3(400, 'partial write of line protocol occurred',
            @data) }, store => [map { $r->{lines}[$_] }
            grep { !$bad{$_} } 0 .. $#{ $r->{lines} }] };
    };
    return sub {
        my $now = time;
        my $a = $judge->(@_);
        return { ($o{now} ? () : (at => int($now) + 1)), %$a };
    };
}

sub new {
    my ($class, %modes) = @_;
    my $self = $class->_init('standin');
    $modes{ok} //= sub { return { %{ answer(204) }, store => 1 } };
    $self->{modes} = \%modes;
    $self->mode('ok');
    spew("$self->{dir}/$_", '') for qw(requests lines);
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $self->port, Listen => 64, ReuseAddr => 1)
        or die "stand-in: $!";
    $self->{pid} = fork // die "fork: $!";
    $self->_serve($listener) if $self->{pid} == 0;
    close $listener;
    return $self;
}

sub mode {
    my ($self, $name) = @_;
    die "no mode $name" if !$self->{modes}{$name};
    spew("$self->{dir}/mode.new", $name);
    rename "$self->{dir}/mode.new", "$self->{dir}/mode" or die "mode: $!";
}

sub requests {
    return map { decode_json($_) } split /\n/, slurp("$_[0]{dir}/requests");
}

sub lines { split /\n/, slurp("$_[0]{dir}/lines") }
sub copies { return scalar(my @lines = $_[0]->lines) }
sub stored { my %lines = map { $_ => 1 } $_[0]->lines; return scalar keys %lines }

# ---- in processes of its own: one that listens, one for each connection ----

sub _serve {
    my ($self, $listener) = @_;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    $SIG{CHLD} = 'IGNORE';
    while (1) {
        my $s = $listener->accept or next;
        my $pid = fork // next;
        if ($pid == 0) {
            close $listener;
            my $parent = getppid;
            1 while getppid == $parent && $self->_converse($s);
            POSIX::_exit(0);
        }
        close $s;
    }
}

# One request and its answer; true when another one may come.
sub _converse {
    my ($self, $s) = @_;
    my $request = _read_request($s) or return 0;
    my $mode = slurp("$self->{dir}/mode");
    my $a = $self->{modes}{$mode}->($request);
    my $wait = ($a->{at} // 0) - time;
    sleep $wait if $wait > 0;
    my @store = ref $a->{store} ? @{ $a->{store} }
        : $a->{store} ? @{ $request->{lines} } : ();
    $self->_append('lines', join '', map { "$_\n" } @store);
    $self->_append('requests', encode_json({ mode => $mode, time => time,
        (map { $_ => $request->{$_} } qw(method path headers)),
        lines => scalar @{ $request->{lines} } }) . "\n");
    my @pieces = $a->{pause} ? split(//, $a->{bytes}) : $a->{bytes} // ();
    for my $piece (@pieces) {
        syswrite $s, $piece or return 0;
        sleep $a->{pause} if $a->{pause};
    }
    1 while defined $a->{endless} && syswrite $s, $a->{endless};
    sysread $s, my $rest, 1 if $a->{hang};      # until the other side closes
    return !$a->{close} && !$a->{endless} && !$a->{hang};
}

sub _append {
    my ($self, $name, $text) = @_;
    open my $f, '>>', "$self->{dir}/$name" or die "$name: $!";
    flock $f, LOCK_EX;
    syswrite $f, $text;
}

sub _read_request {
    my ($s) = @_;
    my $got = '';
    until ($got =~ /\r\n\r\n/) {
        sysread($s, $got, 65536, length $got) or return;
    }
    my ($head, $body) = split /\r\n\r\n/, $got, 2;
    my ($first, @headers) = split /\r\n/, $head;
    my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1 => $2) : () } @headers;
    my ($method, $path) = split / /, $first;
    $body = ($headers{'transfer-encoding'} // '') eq 'chunked'
        ? _read_chunks($s, $body)
        : _read_bytes($s, \$body, $headers{'content-length'} // 0);
    return if !defined $body;
    if (($headers{'content-encoding'} // '') eq 'gzip') {
        gunzip(\(my $packed = $body), \$body) or return;
    }
    return { method => $method, path => $path, headers => \%headers,
        body => $body, lines => [split /\n/, $body] };
}

sub _read_bytes {
    my ($s, $got, $n) = @_;
    while (length $$got < $n) {
        sysread($s, $$got, 65536, length $$got) or return;
    }
    return substr $$got, 0, $n, '';
}

sub _read_chunks {
    my ($s, $got) = @_;
    my $body = '';
    while (1) {
        until ($got =~ /^([0-9a-f]+)\r\n/i) {
            sysread($s, $got, 65536, length $got) or return;
        }
        my $n = hex $1;
        substr $got, 0, length($1) + 2, '';
        my $piece = _read_bytes($s, \$got, $n + 2);
        return if !defined $piece;
        return $body if $n == 0;
        $body .= substr $piece, 0, $n;
    }
}

# Connections that are still open end with it: each looks whether it is there.
sub _end {
    my ($self) = @_;
    my $pid = $self->{pid} // return;   # it has ended before
    my $list = slurp("/proc/$pid/task/$pid/children");
    my @children = split ' ', $list;
    $self->SUPER::_end;
    kill KILL => @children;
}

1;

package ImxH2;
#
# A client of HTTP/2 without TLS (prior knowledge) that does what no decent
# client does: pauses in a body, takes requests back, leaves in the middle.
#
#   use ImxTest; use ImxH2;
#
#   my $c = ImxH2->new($port);
#   my $id = $c->request('POST', '/path', { 'x-id' => 7 }, open => 1);
#                                 # open: a body comes; else it is the end
#   $c->data($id, $bytes, end => 1);
#   $c->cancel($id);              # RST_STREAM(CANCEL)
#   $c->wait($id, 10);            # until the stream's end, or so many seconds
#   $c->{status}{$id}; $c->{body}{$id}; $c->{ended}{$id}; $c->{reset}{$id};
#   $c->leave;                    # closes the connection, unread bytes and all
#
# Header fields are literals without Huffman coding and without the dynamic
# table (RFC 7541, 6.2.2); of the answer's only :status is understood, which is
# an index or a literal that httpd writes in digits or in Huffman coding.
#
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use ImxTest;
use Time::HiRes qw(time);

use constant { DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4,
    PING => 6, GOAWAY => 7, WINDOW_UPDATE => 8 };
use constant { END_STREAM => 1, ACK => 1, END_HEADERS => 4 };

sub new {
    my ($class, $port) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or die "connect to $port: $!";
    $s->autoflush(1);
    my $self = bless { socket => $s, next => 1, in => '' }, $class;
    $self->_write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    $self->_frame(SETTINGS, 0, 0, '');
    return $self;
}

sub _write {
    my ($self, $bytes) = @_;
    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes;
        return if !defined $n;              # it is gone
        substr $bytes, 0, $n, '';
    }
}

sub _frame {
    my ($self, $type, $flags, $id, $payload) = @_;
    $self->_write(pack('NCN', length($payload) << 8 | $type, $flags, $id)
        . $payload);
}

sub _field {
    my ($name, $value) = @_;
    die 'too long' if length $name > 126;
    my $n = length $value;
    return "\0" . chr(length $name) . $name
        . ($n < 127 ? chr $n : "\x7F" . _rest($n - 127)) . $value;
}

sub _rest {
    my ($n) = @_;
    my $bytes = '';
    for (; $n >= 128; $n >>= 7) {
        $bytes .= chr($n & 127 | 128);
    }
    return $bytes . chr $n;
}

sub request {
    my ($self, $method, $path, $headers, %o) = @_;
    my $id = $self->{next};
    $self->{next} += 2;
    my $block = join '', map { _field(@$_) } [':method', $method],
        [':scheme', 'http'], [':authority', 'imx.test'], [':path', $path],
        map { [$_, $headers->{$_}] } sort keys %{ $headers // {} };
    $self->_frame(HEADERS, END_HEADERS | ($o{open} ? 0 : END_STREAM), $id,
        $block);
    return $id;
}

sub data {
    my ($self, $id, $bytes, %o) = @_;
    $self->_frame(DATA, $o{end} ? END_STREAM : 0, $id, $bytes);
}

sub cancel {
    my ($self, $id) = @_;
    $self->_frame(RST_STREAM, 0, $id, pack 'N', 8);
}

sub _take {
    my ($self, $type, $flags, $id, $payload) = @_;
    if ($type == SETTINGS && !($flags & ACK)) {
        $self->_frame(SETTINGS, ACK, 0, '');
    }
    elsif ($type == PING && !($flags & ACK)) {
        $self->_frame(PING, ACK, 0, $payload);
    }
    elsif ($type == DATA) {
        $self->{body}{$id} = ($self->{body}{$id} // '') . $payload;
        if (length $payload) {
            $self->_frame(WINDOW_UPDATE, 0, $_, pack 'N', length $payload)
                for 0, $id;
        }
    }
    elsif ($type == HEADERS) {
        $self->{status}{$id} //= _status($payload);
    }
    elsif ($type == RST_STREAM) {
        $self->{reset}{$id} = $self->{ended}{$id} = 1;
    }
    elsif ($type == GOAWAY) {
        $self->{goaway} = 1;
    }
    $self->{ended}{$id} = 1
        if ($type == DATA || $type == HEADERS) && $flags & END_STREAM;
}

my %static = (8 => 200, 9 => 204, 10 => 206, 11 => 304, 12 => 400, 13 => 404,
    14 => 500);

sub _status {
    my ($block) = @_;
    my $first = ord $block;
    return $static{ $first & 127 } // 0 if $first & 128;
    return substr($block, 2, 3) if substr($block, 1, 1) eq "\x03";
    return 0;
}

# Reads what is there, for at most so long; 0 when the connection is at its end.
sub _read {
    my ($self, $seconds) = @_;
    return 1 if !IO::Select->new($self->{socket})->can_read($seconds);
    my $n = sysread $self->{socket}, $self->{in}, 65536, length $self->{in};
    while (length $self->{in} >= 9) {
        my ($length, $flags, $id) = unpack 'NCN', $self->{in};
        my $type = $length & 255;
        $length >>= 8;
        last if length $self->{in} < 9 + $length;
        $self->_take($type, $flags, $id & 0x7FFFFFFF,
            substr $self->{in}, 9, $length);
        substr $self->{in}, 0, 9 + $length, '';
    }
    return $n ? 1 : 0;
}

sub wait {
    my ($self, $id, $seconds) = @_;
    my $end = time + ($seconds // 20) * slow();
    while (!$self->{ended}{$id} && time < $end) {
        $self->_read($end - time) or last;
    }
    return $self->{ended}{$id};
}

sub leave {
    my ($self) = @_;
    close $self->{socket};
}

1;

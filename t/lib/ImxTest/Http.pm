package ImxTest::Http;
#
# Clients: one request, bytes as they are, and load by ab.
#
use strict;
use warnings;
use Exporter qw(import);
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_RCVBUF INADDR_LOOPBACK pack_sockaddr_in);
use Time::HiRes qw(time);
use ImxTest::Files;
use ImxTest::Wait;

our @EXPORT = qw(http get raw write_all load);

sub http {
    my ($method, $url, $options) = @_;
    return HTTP::Tiny->new(timeout => 20 * slow(), max_redirect => 0,
        keep_alive => 0)->request($method, $url, $options // {});
}

sub get { http('GET', $_[0]) }

# Sends bytes as they are and returns what comes back until the server closes.
# pause => [after_bytes, seconds, ...] sends the rest later;
# read_pause => seconds waits before reading; rcvbuf => bytes; half_close => 1
# ends our direction after sending; read => 0 closes at once.
# paused => \my $seconds: what the pauses took in all.
sub raw {
    my ($port, $bytes, %o) = @_;
    # A small receive buffer has to be asked for before connecting.
    my $s = IO::Socket::INET->new(Proto => 'tcp') or die "socket: $!";
    setsockopt $s, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} if $o{rcvbuf};
    connect $s, pack_sockaddr_in($port, INADDR_LOOPBACK)
        or die "connect to $port: $!";
    my ($sent, $paused, @pauses) = (0, 0, @{ $o{pause} // [] });
    while (my ($after, $seconds) = splice @pauses, 0, 2) {
        write_all($s, substr $bytes, $sent, $after - $sent);
        $paused += nap($seconds);
        $sent = $after;
    }
    write_all($s, substr $bytes, $sent);
    shutdown $s, 1 if $o{half_close};
    $paused += nap($o{read_pause}) if $o{read_pause};
    ${ $o{paused} } = $paused if $o{paused};
    return '' if exists $o{read} && !$o{read};
    my ($got, $ready) = ('', IO::Select->new($s));
    my $end = time + ($o{timeout} // 20) * slow();
    while (time < $end && $ready->can_read($end - time)) {
        sysread($s, $got, 65536, length $got) or last;
    }
    close $s;
    return $got;
}

# False if the other side does not take all of it.
sub write_all {
    my ($s, $bytes) = @_;
    my $done = 0;
    while ($done < length $bytes) {
        my $n = syswrite $s, $bytes, length($bytes) - $done, $done;
        return 0 unless $n;
        $done += $n;
    }
    return 1;
}

# ab with an exact number of requests; dies unless each of them was answered.
sub load {
    my (%o) = (c => 4, keepalive => 1, @_);
    my $ab = which_one('ab') or die 'ab (apache2-utils) is not installed';
    my @cmd = ($ab, '-q', '-r', ($o{keepalive} ? '-k' : ()), '-s', 60,
        '-n', $o{n}, '-c', $o{c}, $o{url});
    open my $p, '-|', @cmd or die "ab: $!";
    my $text = do { local $/; <$p> };
    close $p or die "ab failed: $text";
    my %r = (text => $text);
    ($r{complete}) = $text =~ /^Complete requests:\s+(\d+)/m;
    ($r{failed}) = $text =~ /^Failed requests:\s+(\d+)/m;
    ($r{rate}) = $text =~ /^Requests per second:\s+([\d.]+)/m;
    die "ab: $text" if $r{complete} != $o{n} || $r{failed};
    return \%r;
}

1;

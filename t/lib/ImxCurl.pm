package ImxCurl;
#
# A client that is slow where it is told to be, over whatever curl speaks.
#
#   use ImxTest; use ImxCurl;
#
#   my $r = ImxCurl::ask($url,
#       flags => ['--http2', ...],       # of curl
#       upload => BYTES,                 # a body from a pipe, so of no length
#       upload_pause => SEC,             # between its halves
#       read_pause => SEC,               # behind the answer's first bytes
#       leave => 1);                     # ends curl there
#   $r->{length};                        # bytes of the body that came
#   $r->{paused};                        # seconds that the pause really took
#   $r->{rest};                          # ... and reading all that came after
#   $r->{error};                         # what curl said; '': nothing
#   ImxCurl::has('HTTP2');               # a feature of this curl
#
use strict;
use warnings;
use ImxTest;
use POSIX ();
use Time::HiRes qw(time);

use constant FIONREAD => 0x541B;        # Linux: bytes to read

sub has {
    my ($feature) = @_;
    my $curl = which_one('curl') or return 0;
    return `$curl --version` =~ /^Features:.*\b\Q$feature\E\b/m ? 1 : 0;
}

# curl, its standard input and what it writes.
sub _start {
    my ($log, @command) = @_;
    pipe my $their_in, my $in or die "pipe: $!";
    pipe my $out, my $their_out or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<&', $their_in;
        open STDOUT, '>&', $their_out;
        open STDERR, '>', $log;
        close $_ for $in, $out, $their_in, $their_out;
        exec @command or POSIX::_exit(127);
    }
    return ($pid, $in, $out);
}

# curl begins to read its input when the request's header is sent.
sub _wait_empty {
    my ($pipe) = @_;
    my $end = time + 10 * slow();
    while (time < $end) {
        my $bytes = pack 'i', 0;
        ioctl $pipe, FIONREAD, $bytes or die "FIONREAD: $!";
        return if !unpack 'i', $bytes;
        select undef, undef, undef, 0.0005;
    }
}

sub _upload {
    my ($in, $bytes, $pause) = @_;
    my $half = $pause ? int($bytes / 2) : 0;
    syswrite $in, 'x' x $half;
    _wait_empty($in);
    my $paused = $pause ? nap($pause) : undef;
    syswrite $in, 'x' x ($bytes - $half);
    return $paused;
}

sub ask {
    my ($url, %o) = @_;
    my $log = work_dir() . '/curl.log';
    my ($pid, $in, $out) = _start($log, which_one('curl'), qw(-sSgN),
        @{ $o{flags} // [] }, ($o{upload} ? qw(-T -) : ()), $url);
    my %r;
    $r{paused} = _upload($in, $o{upload}, $o{upload_pause}) if $o{upload};
    close $in;
    my $first = sysread $out, my $bytes, 1;
    $r{paused} = nap($o{read_pause}) if $first && $o{read_pause};
    kill KILL => $pid if $o{leave};
    my $begin = time;
    $r{length} = $first // 0;
    while (my $n = sysread $out, $bytes, 65536) { $r{length} += $n }
    $r{rest} = time - $begin;
    waitpid $pid, 0;
    $r{error} = slurp($log);
    return \%r;
}

1;

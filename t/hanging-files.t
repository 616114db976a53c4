# Token and TLS files on a disk that hangs, or replaced by what is no file: the
# points go on with what was read, a child that has read nothing says why it
# delivers nothing, and a stop ends in time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use ImxTls;
use POSIX qw(mkfifo);
use Test::More;
use Time::HiRes qw(time);

my $token = 'right-token';
my $s = ImxStandin->new(
    ok => sub {
        my ($r) = @_;
        return ($r->{headers}{authorization} // '') eq "Token $token"
            ? { %{ answer(204) }, store => 1 }
            : answer(401, '{"error":"unauthorized access"}');
    },
    refuses => sub { return answer(401, '{"error":"unauthorized access"}') });

my $all = 0;
sub more {
    my ($h, $name, $seconds) = @_;
    load(url => $h->url, n => 100, c => 2);
    $all += 100;
    figures_are($h, { points_sent => $all, points_pending => 0,
        points_dropped => 0 }, $name, seconds => $seconds // 20);
}

sub conf {
    my ($file) = @_;
    return "InfluxMetricsTokenFile $file\nInfluxMetricsInterval 100ms\n"
        . "InfluxMetricsTimeout 1s 5s";
}

subtest 'a pipe in place of the token file' => sub {
    $all = 0;
    my $h = httpd(module => 1, influx => $s, figures => 1, start => 0);
    my $file = $h->secret('token', "\xef\xbb\xbf Token $token \r\n");
    $h->reconf(conf => conf($file))->start;
    more($h, 'a mark, blanks and a word before it do no harm');
    unlink $file;
    mkfifo($file, 0600) or die "mkfifo: $!";
    chown((getpwnam "www-data")[2, 3], $file) if !$>;
    $s->mode('refuses');
    load(url => $h->url, n => 100, c => 2);
    $all += 100;
    ok(wait_until(20, sub { grep { /IMX0026:.*no regular file/ }
        $h->error_log }), 'it is told of');
    ok(wait_until(20, sub { ((status($h) // {})->{last_error} // '')
        =~ /\Q$file\E: it is no regular file/ }), 'on the page as well')
        or diag explain status($h);
    $s->mode('ok');
    more($h, 'the old one goes on');
    unlink $file;
    $h->secret('token', "$token\n");
    ok($h->stop, 'stops');
};

subtest 'a secret that a new child cannot read' => sub {
    $all = 0;
    my $h = httpd(module => 1, influx => $s, figures => 1, start => 0);
    my $file = $h->secret('token', "$token\n");
    $h->reconf(conf => conf($file))->start;
    more($h, 'before');
    rename $file, "$file.away" or die "$file: $!";
    $h->kill_child($_) for $h->children;
    load(url => $h->url, n => 100, c => 2);
    ok(wait_until(20, sub { ((status($h) // {})->{last_error} // '')
        =~ /\Q$file\E: No such file/ }), 'the page says why');
    rename "$file.away", $file or die "$file: $!";
    figures_are($h, { points_pending => 0, points_dropped => 0 },
        'all is delivered when it is back', seconds => 60);
    ok($h->stop, 'stops');
};

my $daemon;
END { if ($daemon) { kill CONT => $daemon; kill TERM => $daemon } }

# A directory behind a program that can be made to hang, for www-data too.
sub mount {
    my ($from, $to) = @_;
    return 'bindfs is missing' if !which_one('bindfs');
    return 'it needs root' if $>;
    mkdir $_, 0755 for $from, $to;
    $daemon = fork // die "fork: $!";
    if ($daemon == 0) {
        open STDERR, '>', "$from.log";
        exec 'bindfs', '-f', $from, $to or POSIX::_exit(127);
    }
    my $ok = wait_until(10, sub {
        slurp('/proc/mounts') =~ /\Q$to\E / || waitpid($daemon, WNOHANG()) });
    return $ok && slurp('/proc/mounts') =~ /\Q$to\E / ? ''
        : 'no FUSE here: ' . slurp("$from.log");
}

sub WNOHANG { return POSIX::WNOHANG() }

my @mpms = split ' ', $ENV{MPMS} || 'event worker prefork';
my $ca = ImxTls->new;

for my $mpm (@mpms) { SKIP: {
    my ($real, $dir) = map { work_dir() . "/$_$mpm" } qw(real hangs);
    my $why = mount($real, $dir);
    skip $why, 1 if $why;

    my $front = httpd(modules => [qw(ssl proxy proxy_http)], vhosts => [
        good => join "\n", 'SSLEngine on', do {
            my ($cert, $key) = $ca->issue('IP:127.0.0.1');
            ("SSLCertificateFile $cert", "SSLCertificateKeyFile $key") },
            'ProxyPass / ' . $s->url('/')]);
    spew("$real/ca.pem", slurp($ca->file));
    spew("$real/token", "$token\n");
    chown((getpwnam 'www-data')[2, 3], "$real/token");
    chmod 0400, "$real/token";
    chmod 0444, "$real/ca.pem";
    $s->mode('ok');
    my $h = httpd(mpm => $mpm, module => 1, figures => 1, start => 0,
        children => $mpm eq 'prefork' ? 4 : 2,
        influx => ImxTls::url($front, 'good'));
    $h->reconf(conf => conf("$dir/token")
        . "\nInfluxMetricsTLSCAFile $dir/ca.pem")->start;
    $all = 0;

    subtest "$mpm: a disk that hangs: live points" => sub {
        more($h, 'before');
        kill STOP => $daemon;
        my $begin = time;
        more($h, 'they go on', 5) for 1 .. 3;
        cmp_ok(time - $begin, '<', 10 * slow(), 'and in time');
        is(figures($h)->{last_error}, '', 'nothing is said');
    };

    subtest "$mpm: a child that could not read the secret" => sub {
        my ($holder) = map { m{child (\d+) delivers} ? $1 : () } $h->error_log;
        $h->kill_child($_) for $h->children;
        load(url => $h->url, n => 100, c => 2);
        $all += 100;
        ok(wait_until(30, sub { (status($h) // {})->{last_error} // ''
            =~ /disk does not answer/ }), 'the page says why');
        like(figures($h)->{last_error}, qr{\Q$dir\E/.*disk does not answer},
            'which file it is');
        ok((grep { /IMX0020:.*disk does not answer/ } $h->error_log),
            'so does the log');
        my $begin = time;
        is(get($h->url)->{status}, 200, 'requests are served');
        cmp_ok(time - $begin, '<', 1 * slow(), 'at once');
        $all++;
        kill CONT => $daemon;
        figures_are($h, { points_pending => 0, points_dropped => 0 },
            'all is delivered when the disk is back', seconds => 60);
    };

    subtest "$mpm: a stop while it hangs" => sub {
        kill STOP => $daemon;
        load(url => $h->url, n => 100, c => 2);
        my $begin = time;
        ok($h->stop, 'it stops');
        cmp_ok(time - $begin, '<', 8 * slow(), 'in time');
        kill CONT => $daemon;
    };
    kill TERM => $daemon;
    waitpid $daemon, 0;
    $daemon = undef;
    system("umount $dir 2>/dev/null");
} }

finish();

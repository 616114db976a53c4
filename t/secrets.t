# Token and password stay where they belong: not in the error log at its most
# talkative, not on a page, in no environment, no command line.  Nor does a CGI
# program get the connection that carries them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use MIME::Base64 qw(encode_base64);
use Test::More;

my %secret = (password => 'pass word-7f3k', token => 'token-9d2m==');
my @forms = (values %secret, encode_base64("writer:$secret{password}", ''));
sub coded { return $_[0] =~ s/([^A-Za-z0-9])/sprintf '%%%02x', ord $1/ger }
push @forms, map { my $c = coded($_); ($c, $c =~ s{(%..)}{uc $1}ger) } @forms;
my $forms = join '|', map { quotemeta } @forms;

sub clean {
    my ($text, $name) = @_;
    cmp_ok(length $text, '>', 0, "$name: there is something to look at");
    my ($found) = $text =~ /(.{0,40}(?:$forms).{0,10})/;
    is($found, undef, "$name: without a secret");
}

# Programs for mod_cgi.
my %cgi = (
    'env.cgi' => 'print map { "$_=$ENV{$_}\n" } sort keys %ENV;'
        . 'open F, "/proc/self/environ"; print <F>;',
    'fds.cgi' => 'print map { readlink($_) . "\n" } glob "/proc/self/fd/*";',
    # A server that shows what it was sent.
    'echo.cgi' => '($w, $a) = split / /, $ENV{HTTP_AUTHORIZATION}, 2;'
        . '$c = $a =~ s/([^A-Za-z0-9])/sprintf "%%%02x", ord $1/ger;'
        . 'print "I do not like $w $a, nor $c, nor \U$c\n";',
);
my $status = '401 Unauthorized';

sub add_programs {
    my ($h) = @_;
    for my $name (keys %cgi) {
        my $head = $name eq 'echo.cgi' ? "Status: $status\\n" : '';
        $h->put("cgi/$name", "#!$^X\nprint qq{${head}Content-Type: "
            . "text/plain\\n\\n};\n$cgi{$name}\n", 0755);
    }
    return 'ScriptAlias /cgi/ ' . $h->dir . '/cgi/';
}

my $echo = httpd(modules => [qw(alias cgi)], mpm => 'prefork', conf => sub {
    my ($self) = @_;
    my $dir = $self->dir;
    add_programs($self);
    return "ScriptAlias /write $dir/cgi/echo.cgi\n"
        . "<Location />\nCGIPassAuth On\n</Location>";
});
my $db = influxd(auth => 1);
$db->query(qq{CREATE USER writer WITH PASSWORD '$secret{password}'});
for my $name (map { "db$_" } 1 .. 3) {
    $db->query("CREATE DATABASE $name");
    $db->query("GRANT WRITE ON $name TO writer");
}

# Each has a database of its own: an InfluxDB that is slow just when the one
# before stops may still store its last points.
my $serial = 0;
sub start {
    my ($influx, $mpm, $cgi, $kind) = @_;
    my $h = httpd(module => 1, influx => $influx, mpm => $mpm, children => 1,
        modules => [$cgi, qw(alias info status env)], start => 0);
    $h->{database} = "db" . ++$serial;
    my $file = $h->secret($kind, "$secret{$kind}\n");
    my $dir = $h->dir;
    my $who = $kind eq 'token' ? "InfluxMetricsTokenFile $file"
        : "InfluxMetricsUser writer\nInfluxMetricsPasswordFile $file";
    $h->reconf(conf => join "\n", $who, 'LogLevel trace8',
        "InfluxMetricsSpool $dir/spool",
        "InfluxMetricsDatabase $h->{database}",
        add_programs($h), ($cgi eq 'cgid' ? "ScriptSock $dir/run/cgid" : ()),
        map { "<Location /$_>\nSetHandler $_\n</Location>" }
            qw(server-info server-status influx-metrics));
    return $h->start;
}

sub page {
    my ($h, $path) = @_;
    my $r = get($h->url($path));
    is($r->{status}, 200, "GET $path");
    return $r->{content};
}

sub everywhere {
    my ($h, $kind) = @_;
    my $directive = $kind eq 'token' ? 'TokenFile' : 'PasswordFile';
    my $info = page($h, '/server-info');
    like($info, qr/InfluxMetrics$directive/, 'mod_info shows the directives');
    clean($info, 'mod_info');
    clean(page($h, '/server-status'), 'mod_status');
    clean(page($h, "/influx-metrics$_"), "status page $_") for '', '?json';
    my $environment = page($h, '/cgi/env.cgi');
    like($environment, qr/^GATEWAY_INTERFACE=/m, 'a CGI has an environment');
    clean($environment, 'environment of a CGI');
    for my $pid ($h->pid, $h->children) {
        clean(slurp("/proc/$pid/environ"), 'environment of httpd');
        clean(slurp("/proc/$pid/cmdline"), 'command line of httpd');
    }
    my $log = slurp($h->dir . '/error.log');
    like($log, qr/:trace[1-8]\]/, 'the log is talkative');
    clean($log, 'error log');
}

# Inodes of established connections to the port, as the kernel has them.  It
# shows its table in pieces: while connections come and go elsewhere, one can be
# missed or come twice.
sub connections {
    my ($port) = @_;
    my $remote = sprintf '0100007F:%04X', $port;
    my %inode = map { $_->[9] => 1 } grep { ($_->[2] // '') eq $remote && $_->[3] eq '01' }
        map { [split] } split /\n/, slurp('/proc/net/tcp');
    return keys %inode;
}

sub sockets {
    my ($pid) = @_;
    return map { (readlink($_) // '') =~ /^socket:\[(\d+)\]$/ ? $1 : () }
        glob "/proc/$pid/fd/*";
}

for my $case (['prefork', 'cgi'], ['event', 'cgi'], ['worker', 'cgid']) {
    my ($mpm, $cgi) = @$case;
    subtest "password, $mpm, mod_$cgi" => sub {
        my $h = start($db, $mpm, $cgi, 'password');
        load(url => $h->url, n => 50, c => 1);
        count_is($db, 50, 'InfluxDB takes it', database => $h->{database});
        everywhere($h, 'password');

        my $fds = page($h, '/cgi/fds.cgi');
        my %its = map { $_ => 1 } $fds =~ /^socket:\[(\d+)\]$/mg;
        # Pipes from mod_cgi; mod_cgid hands it a socket, to the server's worker.
        my $own = $cgi eq 'cgi' ? qr/^pipe:/m : qr/^socket:/m;
        like($fds, $own, 'a CGI has files');
        my @ours;
        wait_until(20, sub {
            my %children = map { $_ => 1 } map { sockets($_) } $h->children;
            @ours = grep { $children{$_} } connections($db->port);
            return @ours == 1;
        });
        is(scalar @ours, 1, 'a child has a connection to InfluxDB');
        is(scalar(grep { $its{$_} } @ours), 0, 'the CGI has it not');
        $h->stop;
    };
}

for my $kind (sort keys %secret) {
    subtest "a server that shows the $kind it refuses" => sub {
        my $h = start($echo, 'event', 'cgi', $kind);
        load(url => $h->url, n => 50, c => 1);
        ok(wait_until(20, sub { grep { /IMX0020:/ } $h->error_log }),
            'the log tells of it');
        my ($line) = grep { /IMX0020:/ } $h->error_log;
        like($line, qr/I do not like \w+ \*{6,}, nor \*{6,}, nor /,
            'with stars');
        everywhere($h, $kind);
        $h->stop;
        my @files = glob $h->dir . '/spool/*';
        cmp_ok(scalar @files, '>', 0, 'what was not taken is in the spool');
        clean(join('', @files, map { slurp($_) } @files), 'spool');
        clean(slurp($h->dir . '/error.log'), 'error log of the stop');
    };
}

finish();

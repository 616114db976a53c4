package ImxTest::Files;
#
# Directories, files, programs and free ports, for one test each: nothing of it
# is shared with a test that runs beside this one.
#
use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;

our @EXPORT = qw(top build work_dir work_dir_made remove_work_dir free_port
    slurp spew which_one);

my $top = abs_path(dirname(__FILE__) . '/../../..');
my ($work, %given);

sub top { $top }

sub build {
    my $dir = $ENV{IMX_BUILD} // 'build';
    return $dir =~ m{^/} ? $dir : "$top/$dir";
}

sub work_dir {
    if (!defined $work) {
        $work = tempdir('imx-' . 'X' x 8, DIR => '/tmp');
        chmod 0755, $work or die "$work: $!";   # children may be www-data
    }
    return $work;
}

# The directory if a test has asked for it, else undef.
sub work_dir_made { $work }

sub remove_work_dir {
    remove_tree($work, { error => \my $ignored }) if defined $work;
}

# Below the range the kernel gives to outgoing connections, so that no client
# of a test running beside this one can sit on it.  A name in the abstract
# namespace, held until we end, keeps the other tests off it until it is used.
sub free_port {
    for (1 .. 1000) {
        my $port = 12000 + int rand 20000;
        next if $given{$port};
        my $mine = IO::Socket::UNIX->new(Local => "\0imx-test-port-$port",
            Listen => 1) or next;
        my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $port, Listen => 1, ReuseAddr => 1) or next;
        close $s;
        $given{$port} = $mine;
        return $port;
    }
    die 'no free port on 127.0.0.1';
}

sub slurp {
    my ($path) = @_;
    open my $f, '<:raw', $path or return '';
    local $/;
    return <$f> // '';
}

sub spew {
    my ($path, $text, $mode) = @_;
    make_path(dirname($path));
    open my $f, '>:raw', $path or die "$path: $!";
    print {$f} $text or die "$path: $!";
    close $f or die "$path: $!";
    chmod $mode, $path or die "$path: $!" if defined $mode;
    return $path;
}

sub which_one {
    for my $name (@_) {
        return $name if $name =~ m{/} && -x $name;
        for my $dir (split(/:/, $ENV{PATH} // ''), '/usr/sbin', '/sbin') {
            return "$dir/$name" if -x "$dir/$name" && !-d _;
        }
    }
    return;
}

1;

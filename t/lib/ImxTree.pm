package ImxTree;
#
# This system once more, to install packages in: an overlay over / that is in
# memory only, with process ids of its own.  Nothing in it reaches the system
# around it but through the network's loopback, and all of it is gone when the
# test ends.  Needs root.
#
#   my $why = ImxTree::missing();        # a sentence, or undef
#   my $tree = ImxTree->new;
#   my ($rc, $text) = $tree->run('a2enmod influx_metrics');    # sh, in it
#   $tree->slurp('/etc/passwd'); $tree->spew($path, $text, $mode);
#   $tree->files;          # what it has that / has not, or has otherwise
#
use strict;
use warnings;
use File::Find qw(find);
use ImxTest::Files ();
use ImxTest::Wait;
use ImxTest::Process;
our @ISA = ('ImxTest::Process');

# The first process takes what others leave behind, as init does.
my $init = <<'SH';
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" \
    "$1/root"
for place in proc dev; do mount --rbind /$place "$1/root/$place"; done
for place in run tmp; do mount -t tmpfs none "$1/root/$place"; done
chmod 1777 "$1/root/tmp"
mkdir "$1/root/run/lock"
touch "$1/root/run/tree"
while sleep 3600; do :; done
SH

sub missing {
    return 'an overlay in a namespace of its own needs root' if $>;
    my $dir = ImxTest::Files::work_dir() . '/try';
    mkdir $dir;
    my $text = `unshare -m sh -c 'mount -t tmpfs none $dir && cd $dir &&
        mkdir u w r && mount -t overlay none -o lowerdir=/,upperdir=$dir/u,workdir=$dir/w r' 2>&1`;
    rmdir $dir;
    return $? ? "no overlay can be mounted here: $text" : undef;
}

sub new {
    my ($class) = @_;
    my $self = $class->_init('tree');
    my $out = "$self->{dir}/init.log";
    $self->{over} = "$self->{dir}/over";
    mkdir $self->{over};
    $self->_spawn($out, {}, 'unshare', '--mount', '--pid', '--fork',
        '--kill-child', '--mount-proc', 'bash', '-c', $init, 'init',
        $self->{over});
    $self->_wait_ready(sub {
        $self->{init} //= (split ' ',
            ImxTest::Files::slurp("/proc/$self->{pid}/task/$self->{pid}/children"))[0];
        $self->{init} && -e "/proc/$self->{init}/root$self->{over}/root/run/tree"
    }, $out);
    return $self;
}

# Where the test finds what is in it.
sub path { "/proc/$_[0]{init}/root$_[0]{over}/root$_[1]" }
sub slurp { ImxTest::Files::slurp($_[0]->path($_[1])) }

sub spew {
    my ($self, $path, @more) = @_;
    return ImxTest::Files::spew($self->path($path), @more);
}

sub run {
    my ($self, $command) = @_;
    my $pid = open(my $p, '-|') // die "fork: $!";
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        @ENV{qw(DEBIAN_FRONTEND LC_ALL)} = ('noninteractive', 'C');
        delete @ENV{grep { /^(?:MAKE|MFLAGS|LD_PRELOAD|PERL5LIB)/ } keys %ENV};
        exec 'nsenter', '-t', $self->{init}, '-m', '-p', 'chroot',
            "$self->{over}/root", '/bin/sh', '-c', $command
            or POSIX::_exit(127);
    }
    my $text = do { local $/; <$p> } // '';
    close $p;
    return ($?, $text);
}

# Names below the root, sorted, without those of directories.
sub files {
    my ($self) = @_;
    my $upper = "/proc/$self->{init}/root$self->{over}/upper";
    my @found;
    find({ no_chdir => 1, wanted => sub {
        push @found, substr $_, length $upper if -l || !-d _;
    } }, $upper);
    return sort @found;
}

1;

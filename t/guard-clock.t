# Waits and limits go by the monotonic clock (base/clock.h): the real clock can
# be set.  It is read only where a time stamp leaves the process, in the places
# that are listed here, each with its reason.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

my @allowed = (
    [qr{^src/base/clock\.h$}, 'it reads the clocks for all others'],
    [qr{^src/shared/arena\.c$}, 'when the arena was made'],
    [qr{^src/shared/events\.c$}, 'when an event happened'],
    [qr{^src/record/marks\.c$}, 'the time of a point'],
    [qr{^src/intake/points\.c$}, 'the time of a point that has none'],
    [qr{^src/shared/interval\.c$}, 'the time of an interval'],
    [qr{^src/deliver/reply\.c$}, 'Retry-After can be a date'],
    [qr{^src/deliver/news\.c$}, 'last_flush of the status page'],
    [qr{^src/deliver/spool\.c$}, 'names of files in the spool'],
    [qr{^src/shared/snapshot\.c$},
        'how long ago the arena was made and points were delivered'],
);
my $real = qr{\bapr_time_now\b|\bCLOCK_REALTIME|\bCLOCK_TAI\b|\bgettimeofday\b
    |\bimx_clock_wall\b|\bftime\b|\bapr_time_clock_hires\b|\bpthread_\w+_timedwait\b
    |\bpthread_mutex_timedlock\b|\bsem_timedwait\b|\bapr_thread_cond_timedwait\b
    |(?<![\w>.])time\s*\(}x;

sub code {
    my ($file) = @_;
    my $text = slurp($file);
    $text =~ s{/\*.*?\*/}{}gs;
    $text =~ s{"(?:[^"\\\n]|\\.)*"}{""}g;
    return $text;
}

my ($files, $monotonic, $used, %reads) = (0, 0, 0);
for my $file (glob('*.[ch]'), glob('src/*/*.[ch]')) {
    my $text = code($file);
    $files++;
    $monotonic += () = $text =~ /imx_clock_now|CLOCK_MONOTONIC/g;
    my @found = map { /$real/ ? s/^\s+|\s+$//gr : () } split /\n/, $text;
    my ($reason) = map { $_->[1] } grep { $file =~ $_->[0] } @allowed;
    $used += @found;
    $reads{$reason}++ if @found && defined $reason;
    is_deeply(\@found, [], "$file does not read the real clock")
        if !defined $reason;
    is_deeply([$text =~ /\bCLOCK_(?:REALTIME|MONOTONIC)\w*/g], [],
        "$file leaves reading the clocks to base/clock.h")
        if $file ne 'src/base/clock.h';
}
is_deeply([grep { !$reads{ $_->[1] } } @allowed], [],
    'each place that may read the real clock reads it');
cmp_ok($files, '>=', 30, 'the sources were looked at');
cmp_ok($monotonic, '>=', 5, 'the monotonic clock is seen');
cmp_ok($used, '>=', 3, 'the real clock is seen where it may be read');

finish();

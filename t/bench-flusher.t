# What bench-flusher counts of delivery (bench/counting.c): the bytes that are
# copied and the system calls that are made on a line's way.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $program = build() . '/bench-flusher';
die "$program is not there: run make units\n" if !-x $program;

my ($LINES, $LENGTH) = (20_000, 200);

# The row of a burst, by the words of the head.
sub burst {
    my @rows = map { [split / \| /, s/^\| | \|$//gr] } grep { /^\| / }
        split /\n/, qx($program --burst $LINES @_);
    is($?, 0, "a burst @_");
    my %row;
    @row{@{ $rows[0] }} = @{ $rows[1] };
    return \%row;
}

my $COPIED = 'bytes copied a line';
my ($plain, $packed) = (burst(), burst('--gzip'));
is($plain->{'in the sink'}, $LINES, 'every line arrived');

# Into libcurl's buffer, and into the system's; besides, a request's head.
cmp_ok($plain->{$COPIED}, '>=', 2 * $LENGTH, 'a line is copied twice');
cmp_ok($plain->{$COPIED}, '<', 2.1 * $LENGTH, '... and not a third time');
# zlib's window takes in all of it; it moves down what is there now and then.
cmp_ok($packed->{$COPIED}, '>=', $LENGTH, 'zlib copies what it packs');
cmp_ok($packed->{$COPIED}, '<', 2.5 * $LENGTH, '... at most twice');

# Bodies of 10,000 lines, 4 MB at most: at least one send() each.
cmp_ok($plain->{'system calls a line'}, '>=', 2 / $LINES, 'calls are counted');
cmp_ok($plain->{'system calls a line'}, '<', 0.02, '... of many lines at once');
done_testing;

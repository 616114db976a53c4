package ImxTest::Status;
#
# The status page, and whether its account adds up:
# recorded = sent + rejected + dropped + pending + spooled.
#
use strict;
use warnings;
use Exporter qw(import);
use HTTP::Tiny;
use JSON::PP ();
use Test::More ();
use ImxTest::Wait;

our @EXPORT = qw(status figures figures_are accounts_ok count_is faults);

# undef when nobody answers.
sub status {
    my ($h) = @_;
    my $url = $h->{figures} ? $h->url('/?json', 'figures')
        : $h->url('/status?json');
    my $answer = HTTP::Tiny->new(timeout => 5, keep_alive => 0)->get($url);
    return if !$answer->{success};
    return eval { JSON::PP::decode_json($answer->{content}) };
}

sub figures { return status($_[0]) // die 'the status page does not answer' }

my @FIGURES = qw(points_recorded points_sent points_rejected points_dropped
    points_pending points_spooled dropped_no_room dropped_oldest dropped_torn
    dropped_spool last_flush last_error last_status server lease_holder
    buffer_size buffer_used spool_bytes uptime);
my @GROWING = qw(points_recorded points_sent points_rejected points_dropped);

# What is wrong with the figures; those of the look before may be there.
sub faults {
    my ($s, $before) = @_;
    my @missing = grep { !exists $s->{$_} } @FIGURES;
    return "no figure @missing" if @missing;
    my @faults;
    my $sum = 0;
    $sum += $s->{"points_$_"} for qw(sent rejected dropped pending spooled);
    push @faults, "$s->{points_recorded} recorded, the parts make $sum"
        if $sum != $s->{points_recorded};
    my $reasons = 0;
    $reasons += $s->{"dropped_$_"} for qw(no_room oldest torn spool);
    push @faults, "$s->{points_dropped} dropped, the reasons make $reasons"
        if $reasons != $s->{points_dropped};
    push @faults, map { "$_ is $s->{$_}" } grep { $s->{$_} < 0 }
        grep { /^points_|^dropped_|_bytes$|^buffer_/ } @FIGURES;
    push @faults, "more of the buffer in use than there is"
        if $s->{buffer_used} > $s->{buffer_size};
    # A server that was started anew counts anew.
    push @faults, map { "$_ went from $before->{$_} to $s->{$_}" }
        grep { $s->{$_} < $before->{$_} } @GROWING
        if $before && $s->{uptime} >= $before->{uptime};
    return @faults;
}

sub accounts_ok {
    my ($h, $name) = @_;
    my $s;
    wait_until(20, sub { $s = status($h) });
    my $before = $h->{account};
    undef $before if $before && $before->{of} != $h->pid;
    my @faults = $s ? faults($s, $before) : 'nobody answers';
    $h->{account} = $s && { %$s, of => $h->pid };
    Test::More::is_deeply(\@faults, [], "$name: the account adds up")
        or Test::More::diag(Test::More::explain($s));
    return $s;
}

# Waits until the status page has these figures; then the accounts, too.
sub figures_are {
    my ($h, $figures, $name, %o) = @_;
    my $s;
    my @names = sort keys %$figures;
    wait_until($o{seconds} // 20, sub {
        $s = figures($h);
        return !grep { $s->{$_} ne $figures->{$_} } @names;
    });
    Test::More::is_deeply({ map { $_ => $s->{$_} } @names }, $figures, $name);
    return accounts_ok($h, $name);
}

# Waits until there are as many points as expected: a number, or an httpd,
# which means as many as its access log has lines by then (it writes a line
# after the client has its answer).
sub count_is {
    my ($db, $expected, $name, %o) = @_;
    my ($count, $wanted) = (-1, -1);
    wait_until($o{seconds} // 20, sub {
        $count = $db->count($o{measurement} // 'raw-requests', $o{database});
        $wanted = ref $expected ? $expected->access_count : $expected;
        return $count == $wanted;
    });
    return Test::More::is($count, $wanted, $name);
}

1;

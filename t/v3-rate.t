# InfluxDB 3 answers when its log is flushed, once a second, for one line or for
# thirty thousand.  20,000 lines a second for 12 seconds get there all the same,
# with the limits that API v3 has by default; and where a second's lines are more
# than a body may have, two bodies are under way.  None is lost, none goes twice.
# The lines are appended through batch.c and sent by the real monitor; httpd
# itself would need a faster machine than a test can ask for (bench/flusher.c).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $program = build() . '/bench-flusher';
die "$program is not there: run make units\n" if !-x $program;

# The figures of one run.
sub run_it {
    my ($rate, $seconds, @more) = @_;
    my $text = qx($program --v3 --rate $rate --seconds $seconds @more 2>&1);
    is($?, 0, 'it ends well') or diag $text;
    my %f;
    @f{qw(recorded sent stored dropped)} =
        $text =~ /^\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|/m or diag $text;
    ($f{bodies}) = $text =~ /Bodies under way at once: (\d+)/;
    is_deeply([@f{qw(recorded sent stored dropped)}],
        [($rate * $seconds) x 3, 0],
        "$rate lines a second: all are acknowledged, none is there twice");
    return \%f;
}

subtest 'the limits of API v3' => sub { run_it(20_000, 12) };

subtest 'more in a second than a body has' => sub {
    my $f = run_it(15_000, 8, '--lines', 10_000);
    is($f->{bodies}, 2, 'two bodies are under way');
};

finish();

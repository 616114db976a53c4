# Lines that the endpoint for applications' points takes, read by other people's
# parsers: InfluxDB 3's own and the decoder of InfluxData's (t/judges), and by
# real InfluxDBs.  They take each of them, and read the same in it.
# The lines are made at random, the same ones each time, most of them nearly
# right; those that the parser takes are judged.
# IMX_JUDGE_INPUTS: how many random texts are made of them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $inputs = $ENV{IMX_JUDGE_INPUTS} // 50_000;
my $dir = work_dir() . '/texts';
my $taken = work_dir() . '/taken';

# ---- lines that are right, or nearly ----

srand 4711;
sub one { return $_[rand @_] }

sub name {
    return join '', map {
        one('a', 'b', 'k', 'm', '1', '_', '"', '#', '.', '-', "\\,", "\\ ",
            "\\=", "\\", "\xC3\xA4", "\xE2\x82\xAC", "'", ':', '/', '{',
            rand() < 0.05 ? (',', ' ', '=', "\t", "\xFF", "\\\\") : 'x')
    } 1 .. 1 + rand 5;
}

sub number {
    my $n = one('0', '1', '-1', '007', '12', int rand 1e6, '9223372036854775807',
        '-9223372036854775808', '9223372036854775808', '1' . '0' x rand 320);
    return $n . one('i', 'i', 'i', '', '', rand() < 0.1 ? 'u' : '');
}

sub value {
    return one(number(), number(), one(qw(t T true True TRUE f F false False
        FALSE)), one('', '-') . int(rand 1e4) . '.' . int(rand 1e9),
        int(rand 100) . one('e', 'E') . one('', '-', '+') . int(rand 330),
        '"' . join('', map { one('a', 'b', ' ', ',', '=', "\\\"", "\\\\", '#',
            "\xC3\xA4", "\r", "\t", rand() < 0.05 ? ("\\", '"', "\\n") : 'x')
        } 1 .. rand 8) . '"', rand() < 0.2 ? ('.5', '5.', '', 'x') : '1');
}

sub line {
    my $line = name();
    $line .= ',' . name() . '=' . name() for 1 .. rand 4;
    $line .= ' ' . join ',', map { name() . '=' . value() } 1 .. 1 + rand 3;
    $line .= one('', ' ' . one('', '-') . int(rand 1e18), ' 17', '  17 ', ' ',
        ' 9223372036854775806', rand() < 0.1 ? ' 1.5' : '');
    $line = one('', ' ', '  ') . $line . one("\n", "\n", "\r\n");
    return $line;
}

mkdir $dir;
spew("$dir/$_", "\0" . line()) for 1 .. 4000;
chdir work_dir() or die $!;
{
    local $ENV{IMX_FUZZ_LINES} = $taken;
    local $ENV{ASAN_OPTIONS} = 'quarantine_size_mb=1:handle_abort=0';
    my $said = qx(@{[ build() ]}/replay/parse -r $inputs $dir 2>&1);
    is($?, 0, 'the parser and the judge of the project agree') or diag $said;
}
# As they go on: what stands at the ends of a line is taken off.
my %lines = map { pack('H*', $_) =~ s/ +\z//r => 1 } split /\n/, slurp($taken);
my @lines = sort grep { length } keys %lines;
cmp_ok(scalar @lines, '>', 2000, scalar(@lines) . ' different lines are taken');

# ---- other people's parsers ----

# What a judge found: for each line a hash, or undef when it was refused.
sub findings {
    my ($program) = @_;
    spew(work_dir() . '/body', join '', map { "$_\n" } @lines);
    my (@rows, @refused, $line);
    open my $out, '-|', "$program <" . work_dir() . '/body' or die $!;
    while (my $found = <$out>) {
        my ($what, $first, $second) = split ' ', $found;
        if ($what eq 'L') {
            push @rows, [];
            $line = pack 'H*', $first;
            next;
        }
        push @refused, pack('H*', $first) . ": $line" if $what eq 'E';
        # As it is read in all: 1e5 and 100000 are the same.
        $second = unpack 'H*', pack 'd', $second if $what eq 'f';
        push @{ $rows[-1] }, join ' ', $what, $first, $second // ();
    }
    close $out;
    is($?, 0, 'the judge ends well');
    is(scalar @rows, scalar @lines, 'it has seen each line');
    is(scalar @refused, 0, 'and refuses none')
        or diag join '', @refused[0 .. ($#refused < 99 ? $#refused : 99)];
    return @rows;
}

my %read;
for my $judge (qw(rust go)) {
    chomp(my $program = qx(sh @{[top()]}/tools/build-judges.sh $judge));
    my $why = $? == 0 ? '' : $program;
    subtest "the judge $judge" => sub {
        plan skip_all => $why if $why;
        $read{$judge} = [findings($program)];
    };
}
SKIP: {
    skip 'both judges are needed', 1 if keys %read < 2;
    # InfluxDB 3 reads two backslashes in a name or tag as one.
    my @differ = grep {
        $lines[$_] !~ /\\\\/
            && "@{ $read{rust}[$_] }" ne "@{ $read{go}[$_] }"
    } 0 .. $#lines;
    is(scalar @differ, 0, 'they read the same in all lines')
        or diag join "\n", map { ($lines[$_], "@{ $read{rust}[$_] }",
            "@{ $read{go}[$_] }") } splice @differ, 0, 5;
}

# ---- real InfluxDBs ----

# A measurement of its own for each line, so that no types are in conflict.
my $i = 0;
my @named = map { sprintf "n%05d%s\n", $i++, $_ } @lines;

# In pieces, as each line makes new files: a busy machine needs its time.
sub is_taken {
    my ($url, %headers) = @_;
    my @left = @named;
    while (my @piece = splice @left, 0, 500) {
        my $r;
        wait_until(60, sub {
            $r = http('POST', $url, { content => join('', @piece),
                headers => \%headers });
            return $r->{status} != 500 || $r->{content} !~ /timeout/;
        });
        is($r->{status}, 204, 'taken') or diag substr $r->{content}, 0, 2000;
    }
}

subtest 'InfluxDB 1 takes all of them' => sub {
    my $db = influxd();
    $db->query('CREATE DATABASE judge');
    is_taken($db->url('/write?db=judge'));
    is(scalar($db->query('SHOW MEASUREMENTS', 'judge')), scalar @lines,
        'each is there');
};

subtest 'InfluxDB 2 takes all of them' => sub {
    my ($program, $why) = influxd2_program();
    plan skip_all => $why if !$program;
    my $db = influxd2();
    is_taken($db->url('/api/v2/write?org=my%20org&bucket=httpd'),
        Authorization => 'Token ' . $db->token);
};

finish();

# What the fuzzers found once, and what they began with, again; then inputs made
# of pieces of these, the same ones each time.  Without libFuzzer, with gcc's
# sanitizers where there are any.  IMX_FUZZ_RUNS: how many inputs a target.
# A sample of what the encoder makes of them goes to a real InfluxDB, which must
# read it as the judge does.
use strict;
use warnings;
use JSON::PP ();
use Test::More;
use lib 't/lib';
use ImxTest;

my $runs = $ENV{IMX_FUZZ_RUNS} // 20_000;
my @names = map { m{([^/]+)\.c$} } glob top() . '/t/fuzz/*.c';
my $sample = work_dir() . '/lines';
cmp_ok(scalar @names, '>=', 3, "targets: @names");

chdir work_dir() or die $!;
for my $name (@names) {
    my $corpus = top() . "/t/fuzz/corpus/$name";
    my @files = glob "$corpus/*";
    cmp_ok(scalar @files, '>', 5, "$name: there is a corpus");
    my @cmd = (build() . "/replay/$name", '-r', $runs, $corpus);
    local $ENV{IMX_FUZZ_LINES} = $sample if $name eq 'lineproto';
    local $ENV{ASAN_OPTIONS} = 'quarantine_size_mb=1:handle_abort=0';
    my $said = qx(@cmd 2>&1);
    is($?, 0, "$name: nothing found") or diag substr $said, 0, 4000;
    like($said, qr/\Q@{[scalar @files]} files, $runs random inputs\E/,
        "$name: all were tried") or diag $said;
    diag "$name: without AddressSanitizer" if $said !~ /AddressSanitizer/;
}
my $bytes = 0;
$bytes += -s for glob top() . '/t/fuzz/corpus/*/*';
cmp_ok($bytes, '<', 300_000, 'the corpora are small');

sub text { return pack 'H*', $_[0] // '' }

# Lines with what the judge read in them.
sub samples {
    my @lines;
    for (split /\n/, slurp($sample)) {
        my ($what, $first, $second) = split ' ', $_, -1;
        if ($what eq 'L') {
            push @lines, { line => text($first), tags => {}, fields => {} };
            next;
        }
        my $l = $lines[-1];
        $l->{name} = text($first) if $what eq 'M';
        $l->{tags}{ text($first) } = text($second) if $what eq 'T';
        $l->{fields}{ text($first) } = [$what, $what eq 's' ? text($second)
            : $second] if $what =~ /^[ifbs]$/;
    }
    return @lines;
}

sub is_value {
    my ($got, $type, $value) = @_;
    return 0 if !defined $got;
    return $got == $value if $type eq 'i';
    # InfluxDB writes 1e18 with all its digits, and that is no integer.
    return unpack('d', pack 'd', $got) == $value if $type eq 'f';
    return ($got ? 1 : 0) == $value if $type eq 'b';
    utf8::encode(my $text = "$got");
    return $text eq $value;
}

# What InfluxDB has of the line, against what the judge read.  Every line has a
# measurement and a time of its own, so that none meets another.
sub difference {
    my ($series, $want) = @_;
    return 'not stored' if !$series;
    my %tags = %{ $series->{tags} // {} };
    my %seen;
    for my $key (keys %tags) {
        utf8::encode(my $k = $key);
        utf8::encode(my $v = $tags{$key});
        $seen{$k} = $v if length $v;
    }
    return 'tags' if join("\0", map { ($_, $seen{$_}) } sort keys %seen)
        ne join("\0", map { ($_, $want->{tags}{$_}) } sort keys %{ $want->{tags} });
    my %row;
    for my $i (1 .. $#{ $series->{columns} }) {
        utf8::encode(my $k = $series->{columns}[$i]);
        $row{$k} = $series->{values}[0][$i] if !exists $seen{$k};
    }
    return 'how many fields' if keys %row != keys %{ $want->{fields} };
    for (sort keys %{ $want->{fields} }) {
        return "field $_" if !is_value($row{$_}, @{ $want->{fields}{$_} });
    }
    return '';
}

# A statement for each measurement: one for all would mix their fields.
sub series {
    my ($db, @names) = @_;
    my @series;
    while (my @some = splice @names, 0, 200) {
        my $q = join ';', map {
            'SELECT * FROM "' . s/(["\\])/\\$1/gr . '" GROUP BY *'
        } @some;
        utf8::decode($q);
        my $answer = HTTP::Tiny->new->post_form($db->url('/query'),
            { q => $q, db => 'fuzz' });
        my $all = JSON::PP->new->utf8->decode($answer->{content});
        push @series, map { @{ $_->{series} // [] } } @{ $all->{results} };
    }
    utf8::encode($_->{name}) for @series;
    return @series;
}

subtest 'a real InfluxDB reads the lines as the judge does' => sub {
    my $db = influxd();
    $db->query('CREATE DATABASE fuzz');
    my @want = samples();
    cmp_ok(scalar @want, '>', 1000, 'there are enough lines');
    splice @want, 2000 if @want > 2000;
    my ($body, $i) = ('', 0);
    for (@want) {
        my $name = sprintf 'n%04d', $i++;
        my $line = $_->{line} =~ s/ (-?\d+)\n\z/" " . (1763961600000000000 + $i) . "\n"/er;
        $body .= $name . $line;
        $_->{name} = $name . $_->{name};
    }
    my $answer = http('POST', $db->url('/write?db=fuzz&precision=n'),
        { content => $body });
    is($answer->{status}, 204, 'all lines are taken')
        or diag substr $answer->{content}, 0, 2000;
    my %series = map { $_->{name} => $_ } series($db, map { $_->{name} } @want);
    my @wrong;
    for (@want) {
        my $why = difference($series{ $_->{name} }, $_);
        push @wrong, "$why: $_->{line}" if $why;
    }
    is(scalar @wrong, 0, scalar(@want) . ' lines read as they were meant')
        or diag join '', @wrong[0 .. ($#wrong < 9 ? $#wrong : 9)];
    is(scalar($db->query('SHOW MEASUREMENTS', 'fuzz')), scalar @want,
        'and there is no other measurement');
};

finish();

# What the module sends for hostile requests, read by other people's parsers:
# InfluxDB 3's own and the decoder of InfluxData's that Telegraf has (t/judges).
# Every line is taken, and every value is what the manual says.
# IMX_JUDGE_REQUESTS: how many requests, some nine values each.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxHostile;
use ImxStandin;
use ImxTest;
use Test::More;

my $n = $ENV{IMX_JUDGE_REQUESTS} // 12_000;

my $standin = ImxStandin->new;
my $h = httpd(module => 1, influx => $standin->url, children => 2, threads => 8,
    figures => 1, conf => $own);
my @sent = map { hostile($_) } 1 .. $n;
send_all($h->port, map { $_->{text} } @sent);
ok(wait_until(60, sub { $standin->copies == $n }), "$n requests are $n lines")
    or diag $standin->copies;

my $body = join '', map { "$_\n" } $standin->lines;
my @names = grep { !/^(?:hostname|method|process|server|status|bytes_sent
    |request_time|application_time)$/x } keys %types;

# A judge's findings: a hash for each line, and what it refused.
sub findings {
    my ($program) = @_;
    spew(work_dir() . '/body', $body);
    my (@rows, @refused, $line);
    open my $out, '-|', "$program <" . work_dir() . '/body' or die $!;
    while (my $found = <$out>) {
        my ($what, $first, $second) = split ' ', $found;
        if ($what eq 'L') {
            push @rows, {};
            $line = pack 'H*', $first;
        }
        elsif ($what eq 'M') { $rows[-1]{measurement} = pack 'H*', $first }
        elsif ($what eq 'E') {
            push @refused, pack('H*', $first) . ": $line";
        }
        elsif ($what =~ /^[Ts]$/) {
            utf8::decode(my $text = pack 'H*', $second // '');
            $rows[-1]{pack 'H*', $first} = $text;
        }
        elsif ($what ne 't') { $rows[-1]{pack 'H*', $first} = $second }
    }
    close $out;
    is($?, 0, 'the judge ends well');
    return (\@rows, \@refused);
}

# InfluxDB 3 reads two backslashes in a tag's value as one that is escaped.
sub read_by {
    my ($judge, $want) = @_;
    my %want = %$want;
    return \%want if $judge ne 'rust';
    defined and s/\\\\/\\/g for @want{grep { /^tag_/ } keys %want};
    return \%want;
}

for my $judge (qw(rust go)) {
    chomp(my $program = qx(sh @{[top()]}/tools/build-judges.sh $judge));
    subtest "the judge $judge" => sub {
        plan skip_all => $program if $? != 0;
        my ($rows, $refused) = findings($program);
        is(scalar @$rows, $n, 'a finding for each line');
        is(scalar @$refused, 0, 'no line is refused')
            or diag join "\n", splice @$refused, 0, 5;
        is(scalar(grep { ($_->{measurement} // '') ne 'raw-requests' } @$rows),
            0, 'every line is one of raw-requests');
        my @wanted = map { { want => read_by($judge, $_->{want}),
            text => $_->{text} } } @sent;
        is(compare(\@wanted, $rows, \@names), 0,
            @names * $n . ' values are what was sent');
        my %known = (%types, measurement => 1);
        is(scalar(grep { grep { !$known{$_} } keys %$_ } @$rows), 0,
            'and there is no other key');
    };
}

is_deeply([$h->complaints], [], 'no complaint');
finish();

# What InfluxDB quotes of a client's value when it refuses a point: the status
# page does not show it, in none of its forms, and the log does, as
# docs/messages.md says of IMX0022.  With InfluxDB's own limit on the values of
# a tag, and with a stand-in that quotes a tag in other ways.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxStandin;
use ImxTest;
use JSON::PP qw(encode_json);
use Test::More;

my @secrets = qw(reset-4711 quoted-4712);

# The clients of this site have a secret in a header that is a tag.
sub server {
    my ($influx, $name) = @_;
    return httpd(module => 1, influx => $influx, figures => 1, children => 1,
        conf => "InfluxMetricsDatabase $name\nInfluxMetricsInterval 100ms\n"
            . qq(InfluxMetricsTag ticket "%{req:X-Ticket}"\n));
}

sub ask {
    my ($h, $ticket) = @_;
    my $answer = raw($h->port, "GET / HTTP/1.1\r\nHost: imx.test\r\n"
        . "X-Ticket: $ticket\r\nConnection: close\r\n\r\n");
    like($answer, qr{^HTTP/1.1 200}, "a request with $ticket");
    return;
}

# All forms of the page, as one text.
sub page {
    my ($h) = @_;
    return join "\n", map {
        my $r = get("http://127.0.0.1:" . $h->port('figures') . "/$_");
        die "status page: $r->{status}" if $r->{status} != 200;
        $r->{content} } '', '?json', '?text';
}

sub hidden {
    my ($h, $name, $reason) = @_;
    my $page = page($h);
    like($page, $reason, "$name: the page has a reason");
    is(scalar(grep { $page =~ /\Q$_\E/ } @secrets), 0,
        "$name: without a client's value") or diag $page;
    return;
}

subtest 'max-values-per-tag of InfluxDB 1' => sub {
    my $db = influxd(max_values => 2);
    $db->query('CREATE DATABASE tickets');
    my $h = server($db, 'tickets');
    ask($h, $_) for qw(one two);
    count_is($db, 2, 'two values are taken', database => 'tickets');
    ask($h, $secrets[0]);
    ask($h, qq(x" tag="$secrets[1]" y=$secrets[1]));
    ok(wait_until(20, sub { (status($h) // {})->{points_rejected} == 2 }),
        'more are refused') or diag explain status($h);
    hidden($h, 'max-values-per-tag', qr/max-values-per-tag limit exceeded/);
    ask($h, 'one');
    ok(wait_until(20, sub { (status($h) // {})->{points_sent} == 3 }),
        'a value that is known is taken');
    my @lines = grep { /IMX0022:/ } $h->error_log;
    like($lines[0], qr/max-values-per-tag.*$secrets[0]/, 'the log has it')
        or diag join "\n", $h->error_log;
    $h->stop;
};

# Other words in which a tag is quoted; $v stands for what the client sent.
my %words = (
    'a tag in quotes' => 'partial write: tag value "$v" is not allowed '
        . 'dropped=1',
    'a tag as in a line' => 'partial write: unable to store '
        . 'raw-requests,ticket=$v bytes_sent=1i dropped=1',
    'a line' => q(unable to parse 'raw-requests,ticket=$v x=1': invalid),
    'a path in quotes' => 'partial write: points beyond limit: '
        . q(ticket: '$v' dropped=1),
);

sub database { return $_[0] =~ s/\W/_/gr }

my %of_database = map { (database($_) => $words{$_}) } keys %words;
my $s = ImxStandin->new(partial => sub {
    my ($r) = @_;
    my ($v) = map { /ticket=((?:\\.|[^ ,\\])+)/ } @{ $r->{lines} };
    return { %{ answer(204) }, store => 1 } if !defined $v;
    my ($db) = $r->{path} =~ /[?&]db=(\w+)/;
    my $text = $of_database{ $db // '' };
    return answer(400, '{"error":"no words"}') if !defined $text;
    $v =~ s/\\//g;
    return answer(400, encode_json({
        error => $text =~ s/\$v/$v/gr }));
});

for my $name (sort keys %words) {
    subtest $name => sub {
        $s->mode('partial');
        my $h = server($s, database($name));
        ask($h, $secrets[0]);
        ok(wait_until(20, sub { (status($h) // {})->{last_error} ne '' }),
            'it is refused') or diag explain status($h);
        hidden($h, $name, qr/partial write|unable to parse/);
        $h->stop;
    };
}

finish();

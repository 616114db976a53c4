package ImxLost;
#
# Engines that have a body, and whose answer is lost: requests with a number
# each, and whether all of them are there, and how often.
#
#   my $h = numbered($engine or URL, $conf);    # httpd: the header N is n
#   requests($h, 1, 2000);
#   my $f = loses_answers($engine);     # before it: every second answer is lost
#   my $repeated = in_four_loads($h);   # 2,000 requests; the figure afterwards
#   numbers_are(\@numbers, $copies, $name);
#
use strict;
use warnings;
use Exporter qw(import);
use ImxForward;
use ImxTest;
use Test::More;

our @EXPORT = qw(numbered requests loses_answers in_four_loads numbers_are);

# Nobody but InfluxDB 1 makes a database.
sub numbered {
    my ($to, $conf) = @_;
    return httpd(module => 1, influx => ref $to ? $to->url : $to, children => 2,
        threads => 8, figures => 1, conf => "InfluxMetricsCreateDatabase Off\n"
            . "InfluxMetricsField n int \"%{req:N}\"\n" . ($conf // ''));
}

# Requests with the numbers in their header N.
sub requests {
    my ($h, $first, $last) = @_;
    my @text = map { "GET /index.html HTTP/1.1\r\nHost: x\r\nN: $_\r\n" }
        $first .. $last;
    $text[-1] .= "Connection: close\r\n";
    my $got = raw($h->port, join('', map { "$_\r\n" } @text), timeout => 60);
    my $n = () = $got =~ m{^HTTP/1\.1 200 }mg;
    is($n, $last - $first + 1, "$n requests are answered");
}

# Every second body arrives, and its answer does not.
sub loses_answers {
    my ($engine) = @_;
    return ImxForward->new($engine, answer => sub {
        my ($number, $forward) = @_;
        return undef if $number % 2 == 0;
        $forward->();
        return '';
    });
}

# Two thousand requests in four loads, each delivered before the next begins.
sub in_four_loads {
    my ($h) = @_;
    for my $load (0 .. 3) {
        requests($h, 500 * $load + 1, 500 * $load + 500);
        figures_are($h, { points_sent => 500 * $load + 500 },
            'all are acknowledged', seconds => 30);
    }
    return status($h)->{points_repeated};
}

# Which numbers are there, and how often.
sub numbers_are {
    my ($numbers, $copies, $name) = @_;
    my %seen;
    $seen{$_}++ for @$numbers;
    is_deeply([grep { !$seen{$_} } 1 .. 2000], [], "$name: none is missing");
    is(scalar(grep { !/^\d+$/ || $_ < 1 || $_ > 2000 } keys %seen), 0,
        "$name: there are no others");
    is(scalar @$numbers, 2000 + $copies, "$name: $copies are there twice");
}

1;

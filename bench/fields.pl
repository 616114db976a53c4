#!/usr/bin/perl
# fields.pl [--rounds N] [NAME ...]: what each built-in tag and field, and some of one's own,
# add to a request, in instructions of the module and of all that it calls
# (ImxCount.pm says how that is counted), beside the cost of the usual point. Some are compared with more than that:
# what belongs to httpd, and not to the tag or field, is in the comparison, too.
# The control is the usual point once more: what adds no more than that differs
# by is not distinguishable.  With names, or with less than three rounds, nothing
# is written down.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxCount;
use ImxReport;
use ImxRounds;

my $rounds = 3;
GetOptions('rounds=i' => \$rounds)
    or die "usage: $0 [--rounds N] [NAME ...]\n";
my $setenvif = "SetEnvIf Request_URI hello items=17\n";
my $header = "Header set X-Items 17\n";

# Name, directives, and those of what it is compared with, and httpd modules.
my @VARIANTS = (
    ['nothing: the control', ''],
    (map { ["field $_", "InfluxMetricsFields +$_\n"] } qw(server_time
        input_time output_time ttfb bytes_received aborted uri query client
        user_agent referer keepalive connection_id trace_id pid thread
        tls_version)),
    ['field request_id', "InfluxMetricsFields +request_id\n", '',
        ['unique_id']],
    (map { ["tag $_", "InfluxMetricsTags +$_\n"] } qw(handler protocol scheme
        status_class vhost_port backend user)),
    ['tag route, the second of two',
        "InfluxMetricsRoute a ^/a\nInfluxMetricsRoute hello ^/hello\n"],
    ['own tag, constant', "InfluxMetricsTag zone eu\n"],
    ['own field, constant', "InfluxMetricsField build int 42\n"],
    ['own tag %{REQUEST_URI}', qq{InfluxMetricsTag p "%{REQUEST_URI}"\n}],
    ['own field int %{reqenv:items}',
        qq{${setenvif}InfluxMetricsField items int "%{reqenv:items}"\n},
        $setenvif, ['setenvif']],
    ['own field int %{resp:X-Items}',
        qq{${header}InfluxMetricsField items int "%{resp:X-Items}"\n},
        $header, ['headers']],
    ['own field string %{REQUEST_URI}',
        qq{InfluxMetricsField p string "%{REQUEST_URI}"\n}],
    ['InfluxMetricsIf "%{REQUEST_STATUS} != 304"',
        qq{InfluxMetricsIf "%{REQUEST_STATUS} != 304"\n}],
    ['InfluxMetricsSample 0.99 errors', "InfluxMetricsSample 0.99 errors\n"],
);

which_one('valgrind') or die "valgrind is not installed\n";
my %wanted = map { $_ => 1 } @ARGV;
my $db = influxd();
my %base;               # modules and directives => their cost, each round

sub cost {
    my ($conf, $modules) = @_;
    return ImxCount::request(db => $db, module => 1, modules => $modules,
        conf => "InfluxMetrics On\n$ImxCount::ON$conf")->{whole};
}

my ($control, @others) = @VARIANTS;
my (@rows, $differs);
for my $v ($control, grep { !%wanted || $wanted{ $_->[0] } } @others) {
    my ($name, $conf, $without, $modules) = @$v;
    $without //= '';
    $modules //= [];
    my @added;
    for my $round (1 .. $rounds) {
        my $base = $base{"@$modules $without $round"}
            //= cost($without, $modules);
        push @added, cost($conf, $modules) - $base;
    }
    push @rows, "| $name | " . ImxRounds::added($differs, @added) . ' |';
    $differs //= \@added;
    print "$rows[-1]\n";
}
exit if %wanted || $rounds < 3;
ImxReport::write('fields', ImxReport::wrapped("A 12-byte file on the event "
    . 'MPM, keep-alive, counted by callgrind over '
    . ($ImxCount::MANY - $ImxCount::FEW)
    . ' requests: what one more tag or field adds to the usual point, the '
    . 'evaluation of expressions and all else that the module calls included, '
    . "median and range of $rounds runs. " . ImxReport::COUNTS()
    . ' The control is the usual point once more; what adds no more than that '
    . 'differs by is not distinguishable. The first one beyond the usual ones takes '
    . 'the line off its short way, which is most of what it adds: a second one adds '
    . 'less. The client sends no Referer, '
    . 'User-Agent or traceparent, and no query: those fields show what it costs '
    . 'to look.') . "\n"
    . "| tag or field | added | range |\n|---|---|---|\n" . join("\n", @rows)
    . "\n", command => 'make bench-fields',
    versions => ImxReport::version('valgrind', '--version'));

# ImxLoad.pm: owns the choice of a load tool and the reading of its answer.
# bombardier when Go can build it (bench/go.mod pins it), else wrk, else ab.
# Nothing is kept: the caller gets one hash per run.
#
#   my $tool = ImxLoad::tool();             # { name, path, exact }
#   my $run  = ImxLoad::run($tool, $url, connections => 5, seconds => 4);
#                                           # rate => requests a second
#   # { requests, errors, seconds, rps, mean, p50, p95, p99, max }, times in ms
#
# exact: the tool waits for the answers under way when its time is over, so
# that its count is the server's. wrk and ab close their connections instead:
# up to `connections` requests more may have been served than they count.
package ImxLoad;

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP ();

my $TOP = abs_path(dirname(__FILE__) . '/..');

my %READ = (
    bombardier => \&read_bombardier,
    wrk        => \&read_wrk,
    ab         => \&read_ab,
);

sub on_path {
    my ($name) = @_;
    for my $dir (split /:/, $ENV{PATH} // '') {
        return "$dir/$name" if -x "$dir/$name" && !-d _;
    }
    return;
}

# Builds bombardier unless it is there. Returns its path, or nothing: a machine
# without Go or without the module proxy is no error.
sub build_bombardier {
    my $out = "$TOP/build/bombardier";
    return $out if -x $out;
    my $go = on_path('go') or return;
    print STDERR "# building bombardier\n";
    system('sh', '-c', 'mkdir -p "$1/build" && cd "$1/bench" && exec "$2" build'
        . ' -mod=mod -o "$3" github.com/codesenberg/bombardier >/dev/null 2>&1',
        'sh', $TOP, $go, $out);
    return -x $out ? $out : ();
}

sub tool {
    if (my $path = build_bombardier()) {
        return { name => 'bombardier', path => $path, exact => 1 };
    }
    for my $name (qw(wrk ab)) {
        my $path = on_path($name) or next;
        return { name => $name, path => $path, exact => 0 };
    }
    die "no load tool: neither Go (for bombardier) nor wrk nor ab\n";
}

sub command {
    my ($tool, $url, $connections, $seconds, $rate) = @_;
    my @head = ($tool->{path}, '-c', $connections);
    die "only bombardier keeps to a rate\n"
        if $rate && $tool->{name} ne 'bombardier';
    return (@head, ($rate ? ('-r', $rate) : ()), '-d', "${seconds}s", '-l', '-o', 'json', '-p', 'r', $url)
        if $tool->{name} eq 'bombardier';
    return (@head, '-t', 1, '-d', "${seconds}s", '--latency', $url)
        if $tool->{name} eq 'wrk';
    return (@head, '-q', '-k', '-t', $seconds, '-n', 100_000_000, $url);
}

sub run {
    my ($tool, $url, %opt) = @_;
    my @cmd = command($tool, $url, $opt{connections} // 5, $opt{seconds} // 4,
        $opt{rate});
    open my $pipe, '-|', @cmd or die "$cmd[0]: $!\n";
    my $text = do { local $/; <$pipe> } // '';
    close $pipe or die "@cmd: failed ($?)\n$text";
    my $run = $READ{ $tool->{name} }->($text);
    die "@cmd: no request was answered\n$text" unless $run->{requests};
    $run->{rps} = $run->{requests} / $run->{seconds};
    return $run;
}

sub read_bombardier {
    my ($text) = @_;
    my $r = JSON::PP::decode_json($text)->{result};
    my $l = $r->{latency};
    my $answered = 0;
    $answered += $r->{"req${_}xx"} for 1 .. 5;
    return {
        requests => $answered,
        errors   => $r->{others} + $answered - $r->{req2xx},
        seconds  => $r->{timeTakenSeconds},
        mean     => $l->{mean} / 1000,
        max      => $l->{max} / 1000,
        map { ("p$_" => $l->{percentiles}{$_} / 1000) } 50, 95, 99,
    };
}

my %MS = (us => 0.001, ms => 1, s => 1000, m => 60_000);

sub read_wrk {
    my ($text) = @_;
    my %run = (errors => 0);
    @run{qw(requests seconds)} = ($1, $2 * $MS{$3} / 1000)
        if $text =~ /(\d+) requests in ([\d.]+)(us|ms|s|m)/;
    @run{qw(mean max)} = ($1 * $MS{$2}, $3 * $MS{$4})
        if $text =~ /Latency\s+([\d.]+)(us|ms|s|m)\s+\S+\s+([\d.]+)(us|ms|s|m)/;
    $run{"p$1"} = $2 * $MS{$3}
        while $text =~ /^\s*(50|99)%\s+([\d.]+)(us|ms|s|m)/mg;
    $run{errors} += $1 if $text =~ /Non-2xx or 3xx responses: (\d+)/;
    $run{errors} += $1 + $2 + $3 + $4
        if $text =~ /connect (\d+), read (\d+), write (\d+), timeout (\d+)/;
    return \%run;
}

sub read_ab {
    my ($text) = @_;
    my %run = (errors => 0);
    $run{requests} = $1 if $text =~ /^Complete requests:\s+(\d+)/m;
    $run{seconds}  = $1 if $text =~ /^Time taken for tests:\s+([\d.]+)/m;
    $run{mean}     = $1 if $text =~ /^Total:\s+\d+\s+(\d+)/m;
    $run{max}      = $1 if $text =~ /^\s*100%\s+(\d+)/m;
    $run{errors} += $1 while $text =~ /^(?:Failed requests|Non-2xx responses):\s+(\d+)/mg;
    $run{"p$1"} = $2 while $text =~ /^\s*(50|95|99)%\s+(\d+)/mg;
    return \%run;
}

1;

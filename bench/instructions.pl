#!/usr/bin/perl
# instructions.pl [--check] [--functions] [--runs N] [VARIANT ...]: what a
# request costs in instructions, counted by callgrind. A run of 300 keep-alive
# requests and one of 1,800 on a fresh `httpd -X`; the difference over 1,500 is
# a request, free of start-up and stop. Compared: httpd alone, with the module
# loaded, with it on, and with CustomLog instead.
#
# The monitor's thread is counted apart: what it does is not on the request's
# way. The interval is an hour, so that it sends everything once, at the stop.
# callgrind does not see the kernel and the vDSO: a clock read counts some 15
# instructions there, so the reads are counted and said beside it.
#
# --check: exit 1 if the module adds more than 700 instructions.
# --functions: also which functions they are. A VARIANT alone (plain, off, on,
# log) is compared with httpd alone and not written down.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use List::Util qw(max min);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxBare;
use ImxReport;

# httpd under callgrind, one profile a thread.
package CallgrindHttpd {
    our @ISA = ('ImxBare');

    sub profiles { $_[0]->dir . '/profiles' }

    sub _command {
        my ($self, @flags) = @_;
        return (ImxTest::which_one('valgrind'), '--tool=callgrind',
            '--separate-threads=yes',
            "--callgrind-out-file=@{[ $self->profiles ]}/out",
            $self->SUPER::_command(@flags));
    }

    # With -X the event MPM never says that it has begun.
    sub _wait_ready {
        my ($self, undef, $log) = @_;
        return $self->SUPER::_wait_ready(sub { $self->_answers }, $log);
    }
}

my ($FEW, $MANY, $BUDGET) = (300, 1800, 700);
my @CLOCKS = qw(clock_gettime gettimeofday apr_time_now);
my $ON = <<'CONF';
InfluxMetricsInterval 1h
InfluxMetricsShutdownTimeout 8s
CONF
my @VARIANTS = (
    [plain => 'httpd alone', ''],
    [off   => 'module loaded, Off', "InfluxMetrics Off\n$ON", 1],
    [on    => 'InfluxMetrics On', "InfluxMetrics On\n$ON", 1],
    [log   => 'CustomLog instead',
        qq{CustomLog access.log "%h %l %u %t \\"%r\\" %>s %b"\n}],
);

my ($check, $runs, $functions) = (0, 3, 0);
GetOptions('check' => \$check, 'runs=i' => \$runs,
    'functions' => \$functions)
    or die "usage: $0 [--check] [--functions] [--runs N] [VARIANT ...]\n";
my %wanted = map { $_ => 1 } @ARGV;
my @variants = grep { !%wanted || $_->[0] eq 'plain' || $wanted{ $_->[0] } }
    @VARIANTS;
which_one('valgrind') or die "valgrind is not installed\n";

my $db = influxd();
my %cost;                       # variant => [{ request, monitor, clocks }]
for my $run (1 .. $runs) {
    for my $v (@variants) {
        print STDERR "# run $run of $runs: $v->[1]\n";
        my ($few, $many) = map { profile($v, $_) } $FEW, $MANY;
        push @{ $cost{ $v->[0] } }, {
            map { $_ => ($many->{$_} - ($few->{$_} // 0)) / ($MANY - $FEW) }
                keys %$many
        };
    }
}
exit report();

# Totals of one run: instructions of the threads that serve, those of the
# monitor, clock reads by the module.
sub profile {
    my ($variant, $requests) = @_;
    my (undef, undef, $conf, $module) = @$variant;
    $conf .= 'InfluxMetricsServer ' . $db->url . "\n" if $module;
    my $httpd = CallgrindHttpd->new(module => $module, conf => $conf,
        children => 1, threads => 4, start => 0);
    $httpd->put('htdocs/hello.txt', "hello world\n");
    mkdir $httpd->profiles or die $httpd->profiles . ": $!\n";
    chmod 0777, $httpd->profiles;   # httpd has dropped root when it ends
    $httpd->start('-X');
    my $r = client(port => $httpd->port, n => $requests, c => 1,
        path => '/hello.txt')->wait;
    die "$requests requests: $r->{complete} answers\n"
        if $r->{complete} != $requests;
    $httpd->stop or die "httpd did not stop\n";
    my $sum = totals($httpd->profiles);
    die "the monitor's thread was not found: its work is in the figures\n"
        if $conf =~ /^InfluxMetrics On/m && !$sum->{monitor};
    return $sum;
}

# The key "OBJECT:FUNCTION" is what the function itself took in all serving
# threads.
sub totals {
    my ($dir) = @_;
    my %sum = (request => 0, monitor => 0, clocks => 0);
    # Thread 1 starts and stops the server and serves nothing.
    my @threads = grep { !/-01$/ } glob "$dir/out-*";
    die "no profiles in $dir\n" unless @threads;
    for my $file (@threads) {
        my $p = read_profile($file);
        if ($p->{monitor}) {
            $sum{monitor} += $p->{total};
            next;
        }
        $sum{request} += $p->{total};
        $sum{clocks} += $p->{clocks};
        $sum{$_} += $p->{self}{$_} for keys %{ $p->{self} };
    }
    return \%sum;
}

# callgrind's format: "ob=" and "fn=" say where we are, "cfn=" and "calls=" that
# a call is made from there, and the line behind "calls=" what it took; any
# other line with numbers is the function's own. A name is written once, later
# only its number.
sub read_profile {
    my ($file) = @_;
    my (%name, $object, $function, $callee, $is_call);
    my %p = (total => 0, monitor => 0, clocks => 0, self => {});
    for my $line (split /\n/, slurp($file)) {
        if ($line =~ /^(c?)(ob|fn)=\((\d+)\)(?: (.*))?/) {
            my ($called, $kind, $number, $given) = ($1, $2, $3, $4);
            my $name = $name{"$kind$number"} = $given
                // $name{"$kind$number"};
            if ($called) {
                $callee = $name if $kind eq 'fn';
            }
            elsif ($kind eq 'ob') {
                $object = $name =~ s{.*/}{}r;
            }
            else {
                $function = $name;
                $p{monitor} = 1 if index($name, 'imx_monitor_') == 0;
            }
        }
        elsif ($line =~ /^calls=(\d+)/) {
            $is_call = 1;
            $p{clocks} += $1 if $object eq 'mod_influx_metrics.so'
                && grep { index($callee, $_) == 0 } @CLOCKS;
        }
        elsif ($line =~ /^[-+*\d]\S* (\d+)$/) {
            $p{self}{"$object:$function"} += $1 if !$is_call;
            $is_call = 0;
        }
        elsif ($line =~ /^totals: (\d+)/) {
            $p{total} = $1;
        }
    }
    return \%p;
}

sub median {
    my @v = sort { $a <=> $b } @_;
    return ($v[$#v / 2] + $v[@v / 2]) / 2;
}

sub report {
    my ($plain) = map { median(map { $_->{request} } @$_) } $cost{plain};
    my $table = "| httpd | instructions a request | added | lowest .. highest "
        . "of $runs | clock reads |\n|---|---|---|---|---|\n";
    my %added;
    for my $v (@variants) {
        my @all = map { $_->{request} } @{ $cost{ $v->[0] } };
        $added{ $v->[0] } = median(@all) - $plain;
        $table .= sprintf "| %s | %.0f | %+.0f | %.0f .. %.0f | %s |\n",
            $v->[1], median(@all), $added{ $v->[0] }, min(@all), max(@all),
            $v->[3] ? sprintf('%.2f', median(
                map { $_->{clocks} } @{ $cost{ $v->[0] } })) : '-';
    }
    $table .= sprintf "\nThe monitor's thread, apart from the requests: %.0f "
        . "instructions a line (sending included).\n",
        median(map { $_->{monitor} } @{ $cost{on} }) if $cost{on};
    print $table;
    show_functions($_) for $functions ? grep { $_->[0] ne 'plain' } @variants
        : ();
    ImxReport::write('instructions', "A 12-byte file on the event MPM with "
        . "authz_core, mime and dir, keep-alive,\ncounted by callgrind over "
        . ($MANY - $FEW) . " requests. Clock reads are those of the module:\n"
        . "callgrind does not see their cost.\n\n$table",
        command => 'make bench-instructions',
        versions => join ', ', grep { defined } ImxReport::version('valgrind',
            '--version'), ImxReport::version(
            ImxTest::Httpd::_place()->{program}, '-v')) if !%wanted;
    return 0 if !$check;
    die "--check needs the variant on\n" if !defined $added{on};
    print "over the budget of $BUDGET instructions\n" if $added{on} > $BUDGET;
    return $added{on} > $BUDGET ? 1 : 0;
}

# What a variant's request adds to each function, over the last run.
sub show_functions {
    my ($v) = @_;
    my ($plain, $with) = map { $cost{$_}[-1] } 'plain', $v->[0];
    my %added = map { $_ => ($with->{$_} // 0) - ($plain->{$_} // 0) }
        grep { /:/ } keys %$plain, keys %$with;
    print "\n$v->[1]:\n";
    printf "%8.1f %s\n", $added{$_}, $_
        for grep { abs $added{$_} >= 1 } sort { $added{$b} <=> $added{$a} }
            keys %added;
}

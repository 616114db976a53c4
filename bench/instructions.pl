#!/usr/bin/perl
# instructions.pl [--functions] [--runs N] [VARIANT ...]: what a
# request costs in instructions (ImxCount.pm says how that is counted).
# libc compares strings in more steps where one lies near the end of a page, and
# with the module a request's strings lie a little higher in memory.  So in each
# run but the first the request's header has some bytes more, up to a page, which
# makes its strings lie elsewhere; and what is added is told by pairs of runs that
# have the same header.
# Compared: httpd alone, with the module loaded, with it on, with CustomLog
# instead, and with mod_asis instead, which has a handler that declines and no
# more: what that adds, any further module adds.  The module's own share has
# nothing of httpd's strings in it: its code, what it calls in libc, and what
# httpd's functions need to call it, which are listed below.
#
# --functions: also which functions they are.  A VARIANT alone (plain, again, off,
# on, log, other) is compared with httpd alone.  That is not written down, and
# neither are fewer than all runs.
use strict;
use warnings;
use FindBin;
use Getopt::Long qw(GetOptions);
use List::Util qw(sum);
use lib "$FindBin::Bin/../t/lib", $FindBin::Bin;
use ImxTest;
use ImxCount;
use ImxReport;
use ImxRounds;

my ($RUNS, $GOAL, $PAGE) = (16, 600, 4096);
my @VARIANTS = (
    [plain => 'httpd alone', ''],
    [again => 'httpd alone, once more: the control', ''],
    [off   => 'module loaded, Off', "InfluxMetrics Off\n$ImxCount::ON", 1],
    [on    => 'InfluxMetrics On', "InfluxMetrics On\n$ImxCount::ON", 1],
    [log   => 'CustomLog instead',
        qq{CustomLog access.log "%h %l %u %t \\"%r\\" %>s %b"\n}],
    [other => 'mod_asis instead, which declines', '', 0, ['asis']],
);

# Of httpd: each has one module, hook or filter more to look at.
my @CALLERS = map { "ap_$_" } qw(run_post_read_request run_insert_filter
    run_handler run_log_transaction invoke_handler remove_output_filter
    merge_per_dir_configs);

my ($runs, $functions) = ($RUNS, 0);
GetOptions('runs=i' => \$runs, 'functions' => \$functions)
    or die "usage: $0 [--functions] [--runs N] [VARIANT ...]\n";
my %wanted = map { $_ => 1 } @ARGV;
my @variants = grep { !%wanted || $_->[0] eq 'plain' || $wanted{ $_->[0] } }
    @VARIANTS;
which_one('valgrind') or die "valgrind is not installed\n";

my $db = influxd();
my %cost;                       # variant => [{ request, monitor, clocks }]
for my $run (1 .. $runs) {
    for my $v (@variants) {
        print STDERR "# run $run of $runs: $v->[1]\n";
        push @{ $cost{ $v->[0] } }, ImxCount::request(db => $db,
            conf => $v->[2], module => $v->[3], modules => $v->[4],
            shift => int($PAGE * ($run - 1) / $runs));
    }
}
report();

sub report {
    my $table = "| httpd | instructions a request | added | lowest .. highest "
        . "of $runs | the module's own share | clock reads |\n"
        . "|---|---|---|---|---|---|\n";
    my $control = $cost{again} && [added('again')];
    for my $v (@variants) {
        my $is_base = $v->[0] =~ /^(?:plain|again)$/;
        $table .= sprintf "| %s | %.0f | %s | %s | %s |\n", $v->[1],
            $cost{ $v->[0] }[0]{request},
            ImxRounds::added($is_base ? undef : $control, added($v->[0])),
            $v->[3] ? own_share($v->[0]) : '-',
            $v->[3] ? sprintf('%.2f', ImxRounds::median(
                map { $_->{clocks} } @{ $cost{ $v->[0] } })) : '-';
    }
    my $own = $cost{on} ? sum(own_parts('on')) : undef;
    $table .= "\n" . ImxReport::wrapped(sprintf 'A request takes %.0f more '
        . 'instructions (the median of %d runs), and the module\'s own share is '
        . '%.0f (goal %d: %s).', ImxRounds::median(added('on')), $runs, $own,
        $GOAL, reached($own)) if defined $own;
    $table .= sprintf "\nThe monitor's thread, apart from the requests: %.0f "
        . "instructions of its own a line,\nfrom the batch into libcurl's buffer; "
        . "what libcurl and the kernel need is in the\nsection on the flusher.\n",
        (ImxCount::step('deliver_lines'))[0] if $cost{on};
    print $table;
    show_functions($_) for $functions ? grep { $_->[0] ne 'plain' } @variants
        : ();
    ImxReport::write('instructions', "A 12-byte file on the event MPM with "
        . "authz_core, mime and dir, keep-alive,\ncounted by callgrind over "
        . ($ImxCount::MANY - $ImxCount::FEW) . " requests. Clock reads are those of the module:\n"
        . "callgrind does not see their cost.\n\n"
        . "libc compares two strings in more steps where one of them lies near the end of a\n"
        . "page, and with any module more a request's strings lie a little higher in memory.\n"
        . "So its header has another number of bytes more in each run, from none to a page,\n"
        . "and what is added is the median of the differences between two runs that have\n"
        . "the same header; the first column is of the run without such bytes.  The control\n"
        . "is httpd alone once more: what adds no more than one of its runs differs by is\n"
        . "not distinguishable.  mod_asis does nothing here: any module adds that.  The\n"
        . "module's own share is its code, what that calls in libc, and what httpd needs to\n"
        . "call it.  The test t/cost.t holds its code to what is recorded.\n\n$table",
        command => 'make bench-instructions',
        versions => join ', ', grep { defined } ImxReport::version('valgrind',
            '--version'), ImxReport::version(
            ImxTest::Httpd::_place()->{program}, '-v'))
        if !%wanted && $runs >= $RUNS;
}

sub added {
    my ($v) = @_;
    return map { $cost{$v}[$_]{request} - $cost{plain}[$_]{request} }
        0 .. $#{ $cost{$v} };
}

sub reached {
    my ($own) = @_;
    my @missed = grep { $_ > $GOAL } $own, ImxRounds::median(added('on'));
    return ('reached by both', 'reached by one of them', 'not reached')[scalar @missed];
}

# The module's code, libc, httpd's calls of it.
sub own_parts {
    my ($v) = @_;
    my ($code, $libc, $calls) = map { my $of = $_; ImxRounds::median(
        map { $of->($_) } @{ $cost{$v} }) } sub { $_[0]{own} - $_[0]{libc} },
        sub { $_[0]{libc} }, \&callers;
    my ($without) = ImxRounds::median(map { callers($_) } @{ $cost{plain} });
    return ($code, $libc, $calls - $without);
}

# "528: 437 + 31 + 60"
sub own_share {
    my @parts = own_parts(@_);
    return sprintf '%.0f: %.0f + %.0f + %.0f', sum(@parts), @parts;
}

sub callers {
    my ($cost) = @_;
    return sum(map { my $f = $_; map { $cost->{$_} } grep { /:\Q$f\E$/ }
        keys %$cost } @CALLERS);
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

# ImxVisit.pm: one visit to a server that is measured: load for half a second,
# and what the server took for it.  A subject is a hash:
#
#   name, port, path           # of a GET request, 127.0.0.1
#   pids => sub { ... }        # of the server, its helpers apart:
#   helpers => sub { ... }     # processes that belong to it (may be missing)
#   points => sub { ... }      # in the database, of this subject
#   per => number of points a request, at least; missing: nothing to wait for
#   slack, patience            # of these points, seconds
#   connections => 5, ms => 500, rate => a second (missing: as fast as it goes)
#
#   ImxVisit::pin('pinned', [$db->pid], \@subjects);  # or 'unpinned'
#   ImxVisit::pin_as_usual([$$, $db->pid], \@subjects);    # pinned, if possible
#   httpd(through => ImxVisit::through(), ...);     # ... from its start on
#   my $got = ImxVisit::visit($subject);
#   # rps, p50, p95, p99, p999, mean, max (ms), server, cpu (us a request, without
#   # and with helpers)
#
# Processor time is that of the whole visit with the delivery of its points,
# which is waited for; the rest is of the timed part.  Pinned: servers and their
# helpers on the first core, load and database on the second.
package ImxVisit;

use strict;
use warnings;
use JSON::PP ();
use List::Util qw(sum0);
use ImxTest;

# The load before what is timed is the same for all, as processor time is of both.
# After a second of it a module that delivers each second is at it.
our ($WARM, $MS, $CONNECTIONS) = (1000, 500, 5);
my ($how, $cores) = ('unpinned', 0 + grep { /^processor/ }
    split /\n/, slurp('/proc/cpuinfo'));

sub cores { return $cores }

# The ways that are possible here.
sub ways { return $cores > 1 ? ('pinned', 'unpinned') : ('unpinned') }

sub describe {
    my ($way) = @_;
    return $way eq 'pinned' ? 'servers and their helpers on one core, load and database on another'
        : 'the kernel chooses the cores';
}

# What is said of p99 where the load is all that a server can take.
sub saturated {
    return 'The load is all that the server can take, so p99 and p99.9 are of the '
        . 'wait for a core: their ratios move from one run of this command to the '
        . 'next by more than their quartiles say.';
}

sub of { return map { ref $_ eq 'CODE' ? $_->() : () } @_ }

# Processes of a subject, all of which exist.
sub pids { return of(@{ $_[0] }{qw(pids helpers)}) }

sub taskset {
    my ($list, @pids) = @_;
    for my $pid (@pids) {
        system('sh', '-c', 'exec taskset -acp "$1" "$2" >/dev/null 2>&1', 'sh',
            $list, $pid);
    }
}

sub pin {
    my ($way, $others, $subjects) = @_;
    $how = $way;
    my ($servers, $rest) = $way eq 'pinned' ? (0, 1)
        : ('0-' . ($cores - 1)) x 2;
    taskset($servers, pids($_)) for @$subjects;
    taskset($rest, @$others);
}

sub pin_as_usual { return pin((ways())[0], @_) }

# How pin_as_usual does it, for the text of a table.
sub cores_in_words {
    return $cores > 1 ? 'what is measured on one core, all else on another'
        : 'on one core';
}

# How visits are made, for the text of a table.
sub in_words {
    my ($rounds) = @_;
    return sprintf '%d connections, %d rounds of %.1f s, each behind %.1f s that are '
        . 'not timed', $CONNECTIONS, $rounds, $MS / 1000, $WARM / 1000;
}

# For a server that is measured while it starts.
sub through { return $cores > 1 ? ['taskset', '-c', 0] : [] }

# Of pids of ImxTest's servers.
sub httpd_pids {
    my ($h) = @_;
    return sub { return ($h->pid, $h->children) };
}

# Nanoseconds on a CPU of all threads.  A thread that ends takes its time with
# it: those of httpd's pools, and of the helpers, stay.
sub cpu_ns {
    return sum0(map { (split ' ', slurp($_))[0] // 0 }
        map { glob "/proc/$_/task/*/schedstat" } @_);
}

# MiB, memory that is shared counted once.
sub memory { return pss('Pss', @_) }

# Of these, what is memory of their own, and what they share by a mapping.
sub own_memory { return pss('Pss_Anon', @_) }
sub shared_memory { return pss('Pss_Shmem', @_) }

sub pss {
    my ($what, @pids) = @_;
    return sum0(map { slurp("/proc/$_/smaps_rollup") =~ /^$what:\s+(\d+)/m
        ? $1 : 0 } @pids) / 1024;
}

sub program {
    my $program = build() . '/bench-load';
    die "$program is not there: make $program\n" if !-x $program;
    return $program;
}

sub ask {
    my ($s, @more) = @_;
    my @command = (($how eq 'pinned' ? qw(taskset -c 1) : ()), program(),
        '-c', $s->{connections} // $CONNECTIONS, ($s->{rate}
            ? ('-r', $s->{rate}) : ()), @more, $s->{port}, $s->{path} // '/');
    open my $pipe, '-|', @command or die "$command[0]: $!\n";
    my $text = do { local $/; <$pipe> } // '';
    close $pipe or die "$s->{name}: @command failed\n";
    my $run = JSON::PP::decode_json($text);
    die "$s->{name}: $run->{errors} requests failed\n" if $run->{errors};
    $run->{rps} = $run->{timed} / $run->{seconds};
    return $run;
}

# Until all points of the requests so far have arrived.
sub settle {
    my ($s) = @_;
    return if !$s->{per};
    wait_until($s->{patience} // 20, sub { $s->{points}->() >= least($s) })
        or $s->{late}++;
}

# slack: so many may wait for others.
sub least { return $_[0]{per} * $_[0]{sent} - ($_[0]{slack} // 0) }

sub visit {
    my ($s) = @_;
    my ($server, $helpers) = map { cpu_ns(of($s->{$_})) } qw(pids helpers);
    my $run = ask($s, '-w', $WARM, '-d', $s->{ms} // $MS);
    $s->{sent} += $run->{requests};
    settle($s);
    my $own = cpu_ns(of($s->{pids})) - $server;
    my $all = $own + cpu_ns(of($s->{helpers})) - $helpers;
    $run->{server} = $own / $run->{requests} / 1000;
    $run->{cpu} = $all / $run->{requests} / 1000;
    return $run;
}

1;

# ImxCount.pm: what a request costs in instructions, counted by callgrind: two
# runs of keep-alive requests on a fresh `httpd -X`, few and many; the difference
# over the requests between is a request, free of start-up and stop.
#
#   my $cost = ImxCount::request(db => $influxd, conf => "...", module => 1);
#   $cost->{request};       # instructions, of the threads that serve
#   $cost->{monitor};       # ... of the monitor's thread
#   $cost->{clocks};        # clock reads by the module
#   $cost->{own};           # the module's code, and what it calls in libc
#   $cost->{whole};         # ... and in APR and httpd, but for the next filter
#   $cost->{"OBJECT:FUNCTION"};     # what the function itself took
#   ImxCount::own_code($profile, $calls);       # the module's code alone, of one
#   ImxCount::calls_out($profile, $calls);      # profile; its calls of others'
#   my ($own, $calls) = ImxCount::step('deliver_lines');    # the same of a line
#
# The monitor's thread is counted apart: what it does is not on the request's
# way. $ImxCount::ON makes the interval an hour, so that it sends everything
# once, at the stop. callgrind does not see the kernel and the vDSO: a clock read
# counts some 15 instructions there, so the reads are counted and said beside it.
package ImxCount;

use strict;
use warnings;
use ImxTest;
use ImxBare;

our ($FEW, $MANY) = (300, 1800);
our $ON = <<'CONF';
InfluxMetricsInterval 1h
InfluxMetricsShutdownTimeout 8s
CONF
our $MODULE = 'mod_influx_metrics.so';
my @CLOCKS = qw(clock_gettime gettimeofday apr_time_now);
# What these call would be called without the module, too.
my %NEXT_FILTER = map { $_ => 1 } qw(ap_pass_brigade ap_get_brigade);

# httpd under callgrind, one profile a thread.
package ImxCount::Httpd {
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

sub request {
    my (%o) = @_;
    my ($few, $many) = map { profile($_, %o) } $FEW, $MANY;
    return { map { $_ => ($many->{$_} - ($few->{$_} // 0)) / ($MANY - $FEW) }
        grep { !ref $many->{$_} } keys %$many };
}

# Totals of one run.
sub profile {
    my ($requests, %o) = @_;
    my $conf = $o{conf};
    $conf .= 'InfluxMetricsServer ' . $o{db}->url . "\n" if $o{module};
    my $httpd = ImxCount::Httpd->new(module => $o{module}, conf => $conf,
        modules => $o{modules} // [], children => 1, threads => 4, start => 0);
    $httpd->put('htdocs/hello.txt', "hello world\n");
    mkdir $httpd->profiles or die $httpd->profiles . ": $!\n";
    chmod 0777, $httpd->profiles;   # httpd has dropped root when it ends
    $httpd->start('-X');
    my $r = client(port => $httpd->port, n => $requests, c => 1,
        path => $o{path} // '/hello.txt')->wait;
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
    my %sum = (request => 0, monitor => 0, clocks => 0, own => 0, libc => 0,
        whole => 0);
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
        $sum{$_} += $p->{libc} for qw(own libc);
        $sum{whole} += $p->{called};
        for my $what (qw(calls out)) {
            $sum{$what}{$_} += $p->{$what}{$_} for keys %{ $p->{$what} };
        }
        for (keys %{ $p->{self} }) {
            $sum{$_} += $p->{self}{$_};
            next if !/^\Q$MODULE\E:/;
            $sum{own} += $p->{self}{$_};
            $sum{whole} += $p->{self}{$_};
        }
    }
    return \%sum;
}

# callgrind's format: "ob=" and "fn=" say where we are, "cfn=" and "calls=" that
# a call is made from there, and the line behind "calls=" what it took; any
# other line with numbers is the function's own. A name is written once, later
# only its number.
sub read_profile {
    my ($file) = @_;
    my (%name, $object, $function, $callee, $callee_object, $is_call);
    my %p = (total => 0, monitor => 0, clocks => 0, libc => 0, called => 0,
        self => {}, calls => {}, out => {});
    for my $line (split /\n/, slurp($file)) {
        if ($line =~ /^(c?)(ob|fn)=\((\d+)\)(?: (.*))?/) {
            my ($called, $kind, $number, $given) = ($1, $2, $3, $4);
            my $name = $name{"$kind$number"} = $given
                // $name{"$kind$number"};
            if ($called && $kind eq 'fn') {
                $callee = $name;
            }
            elsif ($called) {
                $callee_object = $name =~ s{.*/}{}r;
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
            my $times = $1;
            $is_call = 1;
            $p{calls}{$callee} += $times;
            $p{out}{"$object:$function"} += $times
                if ($callee_object // $object) ne $object;
            $p{clocks} += $times if $object eq $MODULE
                && grep { index($callee, $_) == 0 } @CLOCKS;
        }
        elsif ($line =~ /^[-+*\d]\S* (\d+)$/) {
            my $took = $1;
            $p{self}{"$object:$function"} += $took if !$is_call;
            $p{libc} += $took if $is_call && $object eq $MODULE
                && ($callee_object // '') =~ /^libc\./;
            $p{called} += $took if $is_call && $object eq $MODULE
                && ($callee_object // $MODULE) ne $MODULE
                && !$NEXT_FILTER{$callee};
            ($is_call, $callee_object) = (0, undef);
        }
        elsif ($line =~ /^totals: (\d+)/) {
            $p{total} = $1;
        }
    }
    return \%p;
}

# The module's own functions that were called at least this often: those of every
# request, but not those of the first one, nor what comes every 10 ms.
sub usual_functions {
    my ($profile, $calls) = @_;
    return grep {
        my ($function) = /^\Q$MODULE\E:(.*)/;
        defined $function && $function ne 'look_at_real_clock'
            && ($profile->{calls}{$function} // 0) >= $calls;
    } keys %$profile;
}

# What these took, without what they call.
sub own_code {
    my ($profile, $calls) = @_;
    my $own = 0;
    $own += $profile->{$_} for usual_functions($profile, $calls);
    return $own;
}

# How often these called a function that is not the module's.
sub calls_out {
    my ($profile, $calls) = @_;
    my $out = 0;
    $out += $profile->{out}{$_} // 0 for usual_functions($profile, $calls);
    return $out;
}

# What a function of bench-steps takes for a line: instructions of its own, and
# calls of others' functions.
sub step {
    my ($function) = @_;
    my ($out, $lines) = (work_dir() . "/$function", 2000);
    system(which_one('valgrind'), '-q', '--tool=callgrind',
        "--toggle-collect=$function", "--callgrind-out-file=$out",
        '--log-file=/dev/null', build() . '/bench-steps') == 0
        or die "bench-steps: $?\n";
    my $profile = read_profile($out);
    return map {
        my $of = $_;
        my $sum = 0;
        $sum += $of->{$_} for grep { /^bench-steps:/ } keys %$of;
        $sum / $lines;
    } @$profile{qw(self out)};
}

sub median {
    my @v = sort { $a <=> $b } @_;
    return ($v[$#v / 2] + $v[@v / 2]) / 2;
}

1;

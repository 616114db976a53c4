# ImxCount.pm: what a request costs in instructions, counted by callgrind: two
# runs of keep-alive requests on a fresh `httpd -X`, few and many; the difference
# over the requests between is a request, free of start-up and stop.
#
#   my $cost = ImxCount::request(db => $influxd, conf => "...", module => 1,
#       shift => 256);      # bytes more in the request's header
#   $cost->{request};       # instructions, of the threads that serve
#   $cost->{monitor};       # ... of the monitor's thread
#   $cost->{clocks};        # clock reads by the module
#   $cost->{own};           # the module's code, and what it calls in libc
#   $cost->{whole};         # ... and in APR and httpd, but for the next filter
#   $cost->{"OBJECT:FUNCTION"};     # what the function itself took
#   ImxCount::own_code($profile, $calls);       # the module's code alone, of one
#   ImxCount::calls_out($profile, $calls);      # profile; its calls of others',
#                                   # and those of memcpy(), strlen() and the like
#   my ($own, $calls, $copies) = ImxCount::step('deliver_lines');   # of a line
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
# What a compiler calls on its own account, or does in place: other compilers,
# and flags, do so elsewhere.
my $COPIES = qr/^_*(?:mem|str|bcmp)/;
my $CLOCK_LOOK = 'look_at_real_clock';  # comes every 10 ms
my %NOT_USUAL = map { $_ => 1 } $CLOCK_LOOK, 'keep_second';     # ... each second
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
            "--callgrind-out-file=@{[ $self->profiles ]}/out.%p",
            ($self->{mpm} eq 'prefork'
                ? '--toggle-collect=ap_process_connection' : ()),
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

# A copy without debugging information, of which valgrind can only read what is
# not newer: the names of functions stay.
sub names_only {
    my ($file) = @_;
    my $copy = work_dir() . '/' . $file =~ s{.*/}{}r;
    return $copy if -e $copy;
    system('objcopy', '--strip-debug', $file, $copy) == 0
        or die "objcopy: $?\n";
    return $copy;
}

# A request with so many bytes more in its header: what httpd keeps of it lies so
# much higher in memory.
sub shifted {
    my ($bytes, $path) = @_;
    return $bytes ? "GET $path HTTP/1.1\r\nHost: imx.test\r\nX-Shift: "
        . 'x' x $bytes . "\r\n\r\n" : undef;
}

# Totals of one run.
sub profile {
    my ($requests, %o) = @_;
    my $is_prefork = ($o{mpm} // '') eq 'prefork';
    my $children = $o{children} // 0;
    my $path = $o{path} // '/hello.txt';
    my $conf = $o{conf};
    $conf .= 'InfluxMetricsServer ' . $o{db}->url . "\n" if $o{module};
    # A signal would end prefork in its handler, wherever that interrupts it: a
    # single one ends by itself after the connection that looks whether it is
    # there, and the client's.  Of many, who knows which had these: they get the
    # signal while they wait for connections, of which nothing is counted.
    $conf .= "MaxConnectionsPerChild 2\n" if $is_prefork && !$children;
    my $httpd = ImxCount::Httpd->new(conf => $conf,
        module => $o{module} ? names_only(build() . "/$MODULE") : 0,
        modules => $o{modules} // [], children => $children || 1,
        threads => 4, start => 0,
        mpm => $o{mpm} // 'event');
    $httpd->put('htdocs/hello.txt', "hello world\n");
    mkdir $httpd->profiles or die $httpd->profiles . ": $!\n";
    chmod 0777, $httpd->profiles;   # httpd has dropped root when it ends
    $httpd->start($children ? '-DFOREGROUND' : '-X');
    $httpd->wait_children(300) if $children;
    my $r = client(port => $httpd->port, n => $requests, c => 1,
        path => $path, request => $o{request} // shifted($o{shift}, $path))->wait;
    die "$requests requests: $r->{complete} answers\n"
        if $r->{complete} != $requests;
    ($is_prefork && !$children ? wait_until(60, sub { !$httpd->alive })
        : $httpd->stop)
        or die "httpd did not stop\n";
    return totals($httpd->profiles, '01') if $is_prefork;
    my $sum = totals($httpd->profiles);
    die "the monitor's thread was not found: its work is in the figures\n"
        if $conf =~ /^InfluxMetrics On/m && !$sum->{monitor};
    return $sum;
}

# The key "OBJECT:FUNCTION" is what the function itself took in all serving
# threads.
sub totals {
    my ($dir, $only) = @_;
    my %sum = (request => 0, monitor => 0, clocks => 0, own => 0, libc => 0,
        whole => 0);
    # Thread 1 starts and stops the server and serves nothing.
    my @threads = grep { defined $only ? /-$only$/ : !/-01$/ } glob "$dir/out*";
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
        for my $what (qw(calls out copies)) {
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
        self => {}, calls => {}, out => {}, copies => {});
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
            my $is_out = ($callee_object // $object) ne $object;
            $p{ $callee =~ $COPIES ? 'copies' : 'out' }{"$object:$function"}
                += $times if $is_out;
            # A function for it that reads the clock for others, too.
            $p{out}{"$object:$callee"} -= $times
                if !$is_out && $function eq $CLOCK_LOOK;
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
# request, but not those of the first one.
sub usual_functions {
    my ($profile, $calls) = @_;
    return grep {
        my ($function) = /^\Q$MODULE\E:(.*)/;
        defined $function && !$NOT_USUAL{$function}
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

# How often these called a function that is not the module's, and, apart from
# that, one of $COPIES.
sub calls_out {
    my ($profile, $calls) = @_;
    my @functions = usual_functions($profile, $calls);
    return map {
        my $of = $profile->{$_};
        my $sum = 0;
        $sum += $of->{$_} // 0 for @functions;
        $sum;
    } qw(out copies);
}

# What a function of bench-steps takes for a line: instructions of its own, calls
# of others' functions, and of $COPIES.
sub step {
    my ($function) = @_;
    my ($out, $lines) = (work_dir() . "/$function", 2000);
    system(which_one('valgrind'), '-q', '--tool=callgrind',
        "--toggle-collect=$function", "--callgrind-out-file=$out",
        '--log-file=/dev/null', names_only(build() . '/bench-steps')) == 0
        or die "bench-steps: $?\n";
    my $profile = read_profile($out);
    return map {
        my $of = $_;
        my $sum = 0;
        $sum += $of->{$_} for grep { /^bench-steps:/ } keys %$of;
        $sum / $lines;
    } @$profile{qw(self out copies)};
}

1;

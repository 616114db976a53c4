# The child that delivers is stopped, by a signal or in a call that never comes
# back: the others serve, and the log and the page say that nobody delivers.
# When it goes on, or is killed, all points arrive.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $db = influxd();
my $stopped;
END { kill CONT => $stopped if $stopped }

sub said {
    return scalar grep { /:error\].*IMX0080: nobody delivers: child \d+ holds/ }
        $_[0]->error_log;
}

sub page { return get('http://127.0.0.1:' . $_[0]->port('figures') . '/')
    ->{content} // '' }

# In worker and prefork the stopped child may hold the mutex with which one child
# at a time accepts connections: then httpd itself serves nobody.
for my $mpm ('event') {
    for my $end (qw(CONT KILL)) {
        subtest "$mpm, then $end" => sub {
            my $database = lc "$mpm$end";
            $db->query("CREATE DATABASE $database");
            my $h = httpd(mpm => $mpm, module => 1, influx => $db,
                figures => 1, children => 4, threads => 8,
                conf => "InfluxMetricsDatabase $database\n"
                    . 'InfluxMetricsInterval 200ms');
            my $n = client(port => $h->port, n => 100, close => 1)->wait
                ->{complete};
            figures_are($h, { points_sent => $n }, 'points arrive');
            $stopped = figures($h)->{lease_holder};
            ok((grep { $_ == $stopped } $h->children), 'from one child');
            kill STOP => $stopped;
            # The stopped child may have taken a connection; it answers later.
            my $load = client(port => $h->port, n => 100, c => 2, close => 1,
                timeout => 60);
            ok(wait_until(40, sub { said($h) }), 'the log says it')
                or diag join "\n", $h->error_log;
            ok(wait_until(20, sub {
                page($h) =~ /Nobody delivers: the child that/
            }), 'so does the page');
            cmp_ok(figures($h)->{holder_silent}, '>=', 10, 'and a figure');
            kill $end => $stopped;
            $stopped = undef;
            $n += $load->wait->{complete};
            count_is($db, $n, 'all points arrive', database => $database,
                seconds => 40);
            ok(wait_until(20, sub { page($h) =~ /InfluxDB took the last points/ }),
                'and all is well');
            is(said($h), 1, 'it was said once');
            accounts_ok($h, 'afterwards');
            $h->stop;
        };
    }
}

finish();

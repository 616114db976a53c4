# ImxSink.pm: a server that takes lines, counts them and forgets them
# (bench-flusher --sink-only): what the module costs httpd when InfluxDB has a
# machine of its own.  One a subject, as it counts.
package ImxSink;

use strict;
use warnings;
use ImxTest;

my @sinks;
my $owner = $$;

END { kill TERM => map { $_->{pid} } @sinks if $$ == $owner }

sub new {
    my ($class) = @_;
    my $program = build() . '/bench-flusher';
    die "$program is not there: make $program\n" if !-x $program;
    my $pid = open my $out, '-|', $program, '--sink-only'
        or die "$program: $!\n";
    my $self = bless { pid => $pid, out => $out }, $class;
    push @sinks, $self;
    $self->{port} = <$out> // die "$program: no port\n";
    chomp $self->{port};
    return $self;
}

sub all { return @sinks }
sub pid { return $_[0]{pid} }
sub url { return "http://127.0.0.1:$_[0]{port}" }

sub lines {
    return get($_[0]->url)->{headers}{'x-lines'} // die "the sink ended\n";
}

1;

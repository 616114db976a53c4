package ImxTest::Victoria;
#
# VictoriaMetrics: takes /write and /api/v2/write; a field F of measurement M
# is the metric M_F.  Time there is milliseconds.
#
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP ();
use ImxTest::Files;
use ImxTest::Http;
use ImxTest::Process;
our @ISA = ('ImxTest::Process');

sub new {
    my ($class, %o) = @_;
    my $self = $class->_init('victoria', %o);
    $self->start unless exists $o{start} && !$o{start};
    return $self;
}

sub start {
    my ($self) = @_;
    my $program = which_one('victoria-metrics')
        or die 'no victoria-metrics';
    my $log = "$self->{dir}/victoria.log";
    $self->_spawn($log, {}, $program, '-loggerLevel=ERROR',
        "-httpListenAddr=127.0.0.1:$self->{port}",
        "-storageDataPath=$self->{dir}/data", '-memory.allowedBytes=100MB',
        '-retentionPeriod=10y');
    return $self->_wait_ready(
        sub { get($self->url('/health'))->{success} }, $log);
}

# Every stored sample of a metric: { labels, value, time (ms) }.
sub samples {
    my ($self, $metric) = @_;
    get($self->url('/internal/force_flush'));
    my $selector = $metric =~ /^\{/ ? $metric : qq({__name__="$metric"});
    my $r = HTTP::Tiny->new(timeout => 60)->post_form(
        $self->url('/api/v1/export'), { 'match[]' => $selector });
    die "victoria-metrics: $r->{status} $r->{content}" if !$r->{success};
    my @samples;
    for my $line (split /\n/, $r->{content}) {
        my $series = JSON::PP::decode_json($line);
        push @samples, map { {
            labels => $series->{metric},
            value => $series->{values}[$_],
            time => $series->{timestamps}[$_],
        } } 0 .. $#{ $series->{values} };
    }
    return @samples;
}

1;

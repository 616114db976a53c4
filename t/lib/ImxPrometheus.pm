package ImxPrometheus;
#
# A private Prometheus, and prometheus-apache-exporter.
#
#   my $p = ImxPrometheus->new(every => 2, jobs => "  - job_name: ...\n");
#   my @r = $p->query('up', at => time);    # { labels, value }
#   my $e = ImxPrometheus->exporter($url);  # of mod_status; $e->url
#
use strict;
use warnings;
use ImxTest;
use JSON::PP qw(decode_json);
our @ISA = ('ImxTest::Process');

sub new {
    my ($class, %o) = @_;
    my $self = $class->_init('prometheus', every => 2, %o);
    my $program = which_one('prometheus') or die 'no prometheus';
    spew("$self->{dir}/prometheus.yml", <<"YAML");
global: { scrape_interval: $self->{every}s, scrape_timeout: $self->{every}s }
scrape_configs:
$self->{jobs}
YAML
    my $log = "$self->{dir}/prometheus.log";
    $self->_spawn($log, {}, $program,
        "--config.file=$self->{dir}/prometheus.yml",
        "--storage.tsdb.path=$self->{dir}/data",
        "--web.listen-address=127.0.0.1:$self->{port}",
        '--enable-feature=exemplar-storage');
    return $self->_wait_ready(
        sub { get($self->url('/-/ready'))->{success} }, $log);
}

sub exporter {
    my ($class, $url) = @_;
    my $self = $class->_init('exporter');
    my $program = which_one('prometheus-apache-exporter')
        or die 'no prometheus-apache-exporter';
    my $log = "$self->{dir}/exporter.log";
    $self->_spawn($log, {}, $program, "--scrape_uri=$url",
        "--telemetry.address=127.0.0.1:$self->{port}");
    return $self->_wait_ready(
        sub { get($self->url('/metrics'))->{success} }, $log);
}

sub _ask {
    my ($self, $path) = @_;
    my $answer = get($self->url("/api/v1/$path"));
    my $json = eval { decode_json($answer->{content}) };
    die "prometheus: $answer->{status} $answer->{content}"
        if !$json || $json->{status} ne 'success';
    return $json->{data};
}

sub _encoded { return $_[0] =~ s/([^A-Za-z0-9_.-])/sprintf '%%%02X', ord $1/ger }

sub query {
    my ($self, $query, %o) = @_;
    my $data = $self->_ask('query?query=' . _encoded($query)
        . ($o{at} ? "&time=$o{at}" : ''));
    return map { { labels => $_->{metric}, value => $_->{value}[1] } }
        @{ $data->{result} };
}

# Targets: { job, health, lastError }.
sub targets {
    my ($self) = @_;
    return map { { job => $_->{labels}{job}, health => $_->{health},
        error => $_->{lastError} } }
        @{ $self->_ask('targets?state=active')->{activeTargets} };
}

1;

package ImxEngines;
#
# Engines beside Debian's InfluxDB and VictoriaMetrics, as tools/build-engines.sh
# gets them; private ones on 127.0.0.1, ended with the test.
#
#   my ($program, $why) = engine('questdb');     # undef, and why there is none
#   my $q = questdb();       # ->query('SELECT ...') rows as hashes
#                            # ->count: lines of "raw-requests"
#   my $v = victoria_new(flags => ['-...']); ->samples as ImxTest::Victoria
#   my $a = vmagent(to => $v->url, flags => ['-...']);
#   my $t = telegraf(conf => "[[outputs.file]] ...", limit => N);
#                            # takes /api/v2/write; limit: undelivered metrics,
#                            # listener => "more lines"
#   telegraf(file => sub ($t) { "..." });    # the whole file; it listens at
#                            # $t->port, unless listens => 0
#   my $k = kafka();         # ->broker
#
use strict;
use warnings;
use Exporter qw(import);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP ();
use ImxTest;

our @EXPORT = qw(engine questdb victoria_new vmagent telegraf kafka influxd_new);

my %engine;

sub engine {
    my ($name) = @_;
    $engine{$name} //= do {
        my $build = $ENV{IMX_ENGINES} ? '' : '--found';
        chomp(my $said = qx(sh @{[top()]}/tools/build-engines.sh $build $name));
        $? == 0 ? [$said] : [undef, $said];
    };
    return @{ $engine{$name} };
}

sub questdb { return ImxEngines::Questdb->new(@_) }
sub victoria_new { return ImxEngines::Victoria->new(@_) }
sub vmagent { return ImxEngines::Vmagent->new(@_) }
sub telegraf { return ImxEngines::Telegraf->new(@_) }
sub kafka { return ImxEngines::Kafka->new(@_) }
sub influxd_new { return ImxEngines::Influx->new(@_) }

package ImxEngines::Process;
our @ISA = ('ImxTest::Process');

sub program {
    my ($name) = @_;
    my ($program, $why) = ImxEngines::engine($name);
    return $program // die "$why\n";
}

sub log { return "$_[0]{dir}/log" }

sub listens {
    my ($self) = @_;
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $self->port);
}

package ImxEngines::Questdb;
our @ISA = ('ImxEngines::Process');

sub new {
    my ($class) = @_;
    my $self = $class->_init('questdb');
    mkdir "$self->{dir}/$_" for 'data', 'data/conf';
    ImxTest::spew("$self->{dir}/data/conf/server.conf", <<"CONF");
http.bind.to=127.0.0.1:$self->{port}
http.min.enabled=false
pg.enabled=false
line.tcp.enabled=false
telemetry.enabled=false
shared.worker.count=2
CONF
    return $self->start;
}

sub start {
    my ($self) = @_;
    my ($jar) = glob ImxEngines::Process::program('questdb') . '/questdb-*.jar';
    $self->_spawn($self->log, {}, 'java', '-Xmx512m', '-p', $jar, '-m',
        'io.questdb/io.questdb.ServerMain', '-d', "$self->{dir}/data");
    return $self->_wait_ready(
        sub { ImxTest::get($self->url('/exec?query=SELECT%201'))->{success} },
        $self->log);
}

sub query {
    my ($self, $query) = @_;
    my $text = HTTP::Tiny->new->www_form_urlencode({ query => $query });
    my $r = ImxTest::get($self->url("/exec?$text"));
    die "questdb: $r->{content}\n" if !$r->{success};
    my $answer = JSON::PP::decode_json($r->{content});
    my @names = map { $_->{name} } @{ $answer->{columns} // [] };
    return map { my %row; @row{@names} = @$_; \%row } @{ $answer->{dataset} };
}

# 0 while there is no table.
sub count {
    my ($self) = @_;
    my ($row) = eval { $self->query('SELECT count() n FROM "raw-requests"') };
    return $row ? $row->{n} : 0;
}

package ImxEngines::Victoria;
our @ISA = ('ImxTest::Victoria');

sub start {
    my ($self) = @_;
    $self->_spawn("$self->{dir}/log", {},
        ImxEngines::Process::program('victoria-metrics'), '-loggerLevel=ERROR',
        "-httpListenAddr=127.0.0.1:$self->{port}",
        "-storageDataPath=$self->{dir}/data", '-memory.allowedBytes=100MB',
        '-retentionPeriod=10y', @{ $self->{flags} // [] });
    return $self->_wait_ready(
        sub { ImxTest::get($self->url('/health'))->{success} },
        "$self->{dir}/log");
}

package ImxEngines::Vmagent;
our @ISA = ('ImxEngines::Process');

sub new {
    my ($class, %o) = @_;
    my $self = $class->_init('vmagent', %o);
    $self->_spawn($self->log, {}, ImxEngines::Process::program('vmagent'),
        "-httpListenAddr=127.0.0.1:$self->{port}", '-loggerLevel=ERROR',
        "-remoteWrite.url=$o{to}/api/v1/write",
        "-remoteWrite.tmpDataPath=$self->{dir}/data", @{ $o{flags} // [] });
    return $self->_wait_ready(
        sub { ImxTest::get($self->url('/health'))->{success} }, $self->log);
}

package ImxEngines::Telegraf;
our @ISA = ('ImxEngines::Process');

sub new {
    my ($class, %o) = @_;
    my $self = $class->_init('telegraf', %o);
    my $more = join "\n", $o{listener} // (), $o{limit}
        ? "max_undelivered_metrics = $o{limit}" : ();
    my $listener = $o{listens} // 1 ? <<"CONF" : '';
[[inputs.influxdb_v2_listener]]
service_address = "127.0.0.1:$self->{port}"
$more
CONF
    ImxTest::spew("$self->{dir}/telegraf.conf", $o{file} ? $o{file}->($self)
        : <<"CONF");
[agent]
flush_interval = "200ms"
metric_buffer_limit = 1000000
omit_hostname = true
$listener
$o{conf}
CONF
    return $self->start;
}

sub start {
    my ($self) = @_;
    $self->_spawn($self->log, {}, ImxEngines::Process::program('telegraf'),
        '--config', "$self->{dir}/telegraf.conf");
    return $self->_wait_ready(
        $self->{listens} // 1 ? sub { $self->listens } : sub { 1 },
        $self->log);
}

package ImxEngines::Kafka;
our @ISA = ('ImxEngines::Process');

sub broker { return "127.0.0.1:$_[0]{port}" }

sub new {
    my ($class) = @_;
    my $self = $class->_init('kafka');
    my $controller = ImxTest::free_port();
    ImxTest::spew("$self->{dir}/server.properties", <<"CONF");
process.roles=broker,controller
node.id=1
controller.quorum.voters=1\@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$self->{port},CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$self->{port}
controller.listener.names=CONTROLLER
log.dirs=$self->{dir}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
num.partitions=1
auto.create.topics.enable=true
CONF
    return $self->start;
}

sub _java {
    my ($self, @more) = @_;
    my $jars = ImxEngines::Process::program('kafka');
    return ('java', '-Xmx384m', '-cp', "$jars/*", @more);
}

sub start {
    my ($self) = @_;
    my $conf = "$self->{dir}/server.properties";
    if (!-d "$self->{dir}/data") {
        $self->_spawn($self->log, {}, $self->_java('kafka.tools.StorageTool',
            'format', '-t', 'AAAAAAAAQACAAAAAAAAAAQ', '-c', $conf));
        ImxTest::wait_until(60, sub { !$self->alive }) && $self->{status} == 0
            or die "kafka: not formatted:\n" . ImxTest::slurp($self->log);
    }
    $self->_spawn($self->log, {}, $self->_java('kafka.Kafka', $conf));
    return $self->_wait_ready(sub { $self->listens }, $self->log);
}

package ImxEngines::Influx;
our @ISA = ('ImxTest::Influx');

sub start {
    my ($self) = @_;
    $self->_spawn("$self->{dir}/log", {},
        ImxEngines::Process::program('influxd1'), 'run', '-config',
        "$self->{dir}/influxd.conf");
    return $self->_wait_ready(
        sub { ImxTest::get($self->url('/ping'))->{success} },
        "$self->{dir}/log");
}

1;

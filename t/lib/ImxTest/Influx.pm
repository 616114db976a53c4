package ImxTest::Influx;
#
# InfluxDB 1.
#
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP ();
use ImxTest::Files;
use ImxTest::Http;
use ImxTest::Wait;
use ImxTest::Process;
our @ISA = ('ImxTest::Process');

sub new {
    my ($class, %o) = @_;
    my $self = $class->_init('influxd', %o);
    my ($dir, $rpc) = ($self->{dir}, free_port());
    my $auth = $o{auth} ? 'true' : 'false';
    my $socket = $o{socket} ? 'true' : 'false';
    my $body = $o{max_body} // 25_000_000;
    my ($values, $series) = ($o{max_values} // 0, $o{max_series} // 0);
    spew("$dir/influxd.conf", <<"TOML");
reporting-disabled = true
bind-address = "127.0.0.1:$rpc"
[meta]
  dir = "$dir/meta"
  logging-enabled = false
[data]
  dir = "$dir/data"
  wal-dir = "$dir/wal"
  query-log-enabled = false
  max-series-per-database = $series
  max-values-per-tag = $values
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:$self->{port}"
  log-enabled = false
  auth-enabled = $auth
  max-body-size = $body
  unix-socket-enabled = $socket
  bind-socket = "$dir/influxd.sock"
[logging]
  level = "warn"
[subscriber]
  enabled = false
[continuous_queries]
  enabled = false
TOML
    $self->start unless exists $o{start} && !$o{start};
    return $self;
}

sub start {
    my ($self) = @_;
    my $program = which_one('influxd') or die 'no influxd';
    my $log = "$self->{dir}/influxd.log";
    $self->_spawn($log, {}, $program, 'run', '-config',
        "$self->{dir}/influxd.conf");
    $self->_wait_ready(sub { get($self->url('/ping'))->{success} },
        $log);
    chmod 0777, $self->socket if $self->{socket};   # for httpd's children
    if ($self->{auth} && !$self->{admin}) {
        $self->query(qq{CREATE USER "admin" WITH PASSWORD 'secret' }
            . 'WITH ALL PRIVILEGES');
        $self->{admin} = 1;
    }
    return $self;
}

sub socket { "$_[0]{dir}/influxd.sock" }

# Rows of all series of all statements; tags of GROUP BY are columns too, the
# series' name is the column _name.
sub query {
    my ($self, $q, $db) = @_;
    utf8::decode($q);           # HTTP::Tiny wants characters
    my %form = (q => $q, db => $db // 'httpd', epoch => 'ns');
    my $r = $self->_post_query(\%form);
    die "influxd: $r->{status} $r->{content}\n" if !$r->{success};
    my @rows;
    for my $result (@{ JSON::PP::decode_json($r->{content})->{results} }) {
        die "influxd: $result->{error}: $q\n" if defined $result->{error};
        for my $s (@{ $result->{series} // [] }) {
            for my $v (@{ $s->{values} // [] }) {
                my %row = (%{ $s->{tags} // {} }, _name => $s->{name} // '');
                @row{@{ $s->{columns} }} = @$v;
                push @rows, \%row;
            }
        }
    }
    return @rows;
}

# Lines, as a client writes them.
sub write {
    my ($self, $lines, $db) = @_;
    my $r = $self->_call_write('/write?db=' . ($db // 'httpd'), $lines);
    die "influxd: $r->{status} $r->{content}\n" if !$r->{success};
    return;
}

sub _call_write {
    my ($self, $path, $lines) = @_;
    return http('POST', $self->url($path), { content => $lines });
}

sub _post_query {
    my ($self, $form) = @_;
    my $who = $self->{admin} ? '?u=admin&p=secret' : '';
    return HTTP::Tiny->new(timeout => 60)->post_form(
        $self->url("/query$who"), $form);
}

# Counts points by a field each of them has; 0 without the database too.
sub count {
    my ($self, $measurement, $db, $field) = @_;
    my $name = ($measurement // 'raw-requests') =~ s/(["\\])/\\$1/gr;
    $field //= 'bytes_sent';
    my @rows = eval {
        $self->query(qq{SELECT count("$field") AS n FROM "$name"}, $db);
    };
    die $@ if $@ && $@ !~ /database not found|no dbrp mapping/;
    return @rows ? $rows[0]{n} : 0;
}

1;

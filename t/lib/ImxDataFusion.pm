package ImxDataFusion;
#
# SQL without InfluxDB 3: Apache DataFusion, which is its engine, over tables
# made of the points that an InfluxDB 1 has.  What it needs is got by
# tools/build-judges.sh.
#
#   use ImxTest; use ImxDataFusion;
#
#   my ($program, $why) = datafusion_program();
#   my $sql = ImxDataFusion->new($program);
#   $sql->copy($db);              # all measurements of the database httpd
#   $sql->fill('TABLE', { count => 'integer' }, @rows);  # fields; tags are others
#   my @rows = $sql->query('SELECT ...');    # dies on an error
#
use strict;
use warnings;
use Exporter qw(import);
use IPC::Open2;
use JSON::PP ();
use ImxTest;

our @EXPORT = qw(datafusion_program);

sub datafusion_program {
    chomp(my $said = qx(sh @{[top()]}/tools/build-judges.sh sql 2>/dev/null));
    return $? == 0 ? ($said, '') : (undef, $said);
}

sub new {
    my ($class, $program) = @_;
    my $self = bless {}, $class;
    $self->{pid} = open2($self->{out}, $self->{in}, $program);
    return $self;
}

# It ends with its input.
sub DESTROY {
    my ($self) = @_;
    close $self->{in};
    local ($?, $!);
    waitpid $self->{pid}, 0;
    return;
}

sub _say {
    my ($self, $message) = @_;
    print { $self->{in} } JSON::PP::encode_json($message) . "\n";
    $self->{in}->flush;
    my $line = readline($self->{out}) // die "DataFusion has ended\n";
    my $answer = JSON::PP::decode_json($line);
    die "$answer->{error}\n" if defined $answer->{error};
    return @{ $answer->{rows} };
}

sub _load {
    my ($self, $name, $tags, $fields, @rows) = @_;
    $self->_say({ table => $name, tags => $tags, fields => $fields,
        rows => \@rows });
    return;
}

sub copy {
    my ($self, $db) = @_;
    for my $name (map { $_->{name} } $db->query('SHOW MEASUREMENTS')) {
        my %field = map { ($_->{fieldKey} => $_->{fieldType}) }
            $db->query(qq{SHOW FIELD KEYS FROM "$name"});
        my @tags = map { $_->{tagKey} } $db->query(qq{SHOW TAG KEYS FROM "$name"});
        $self->_load($name, \@tags, \%field,
            $db->query(qq{SELECT * FROM "$name"}));
    }
    return;
}

sub fill {
    my ($self, $name, $fields, @rows) = @_;
    my @tags = grep { !$fields->{$_} && $_ ne 'time' } sort keys %{ $rows[0] };
    return $self->_load($name, \@tags, $fields, @rows);
}

sub query {
    my ($self, $query) = @_;
    return $self->_say({ query => $query });
}

1;

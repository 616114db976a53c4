package ImxTest::Influx2;
#
# InfluxDB 2: a bucket is a database to InfluxQL.
#
use strict;
use warnings;
use File::Path qw(make_path);
use HTTP::Tiny;
use JSON::PP ();
use ImxTest::Files;
use ImxTest::Http;
use ImxTest::Influx;
our @ISA = ('ImxTest::Influx');

# InfluxDB 2's server and '', or undef and why it is not there.  `make test`
# has built it, or tried to, and left the outcome; else it is built now.  One
# failure is enough for all tests of an hour.
sub program {
    my $file = build() . '/influxd2.txt';
    if (!-s $file || (slurp($file) !~ m{^/} && time - (stat $file)[9] > 3600)) {
        make_path(build());
        system "sh @{[ top() ]}/tools/build-influxd.sh >$file </dev/null";
    }
    my ($said) = split /\n/, slurp($file);
    return ($said, '') if defined $said && -x $said;
    return (undef, $said // 'tools/build-influxd.sh said nothing');
}

sub new {
    my ($class, %o) = @_;
    my $self = $class->_init('influxd2', org => 'my org', bucket => 'httpd',
        token => 'first-token-' . int(rand 1e9) . '==', %o);
    $self->start unless exists $o{start} && !$o{start};
    return $self;
}

sub token { $_[0]{token} }

sub start {
    my ($self) = @_;
    my ($program, $why) = program();
    my ($dir, $log) = ($self->{dir}, "$self->{dir}/influxd.log");
    $self->_spawn($log, { HOME => $dir }, $program // die($why), 'run',
        '--http-bind-address', "127.0.0.1:$self->{port}", '--bolt-path',
        "$dir/bolt", '--sqlite-path', "$dir/sqlite", '--engine-path',
        "$dir/engine", '--reporting-disabled', '--log-level', 'warn',
        map({ ($_->[0], $self->{tls}[$_->[1]]) }
            $self->{tls} ? (['--tls-cert', 0], ['--tls-key', 1]) : ()));
    $self->_wait_ready(sub { $self->_call('GET', '/health')->{success} },
        $log);
    if (!$self->{set_up}++) {
        $self->api('POST', 'setup', { username => 'admin',
            password => 'password1', org => $self->{org},
            bucket => $self->{bucket}, token => $self->{token} });
    }
    return $self;
}

sub url {
    my ($self, $path) = @_;
    my $url = $self->SUPER::url($path);
    $url =~ s/^http:/https:/ if $self->{tls};
    return $url;
}

# With the token.  What it is over https curl does: HTTP::Tiny has no TLS
# without modules that are not core.
sub _call {
    my ($self, $method, $path, $content) = @_;
    my $authorization = "Token $self->{token}";
    return http($method, $self->url($path), {
        headers => { Authorization => $authorization },
        (defined $content ? (content => $content) : ()),
    }) if !$self->{tls};
    my $file = spew("$self->{dir}/content", $content // '');
    open my $curl, '-|', 'curl', '-s', '--cacert', $self->{ca}, '-X', $method,
        '-H', "Authorization: $authorization", '-w', '\n%{http_code}',
        ($content ? ('--data-binary', "\@$file") : ()), $self->url($path)
        or die "curl: $!";
    my ($text, $status) = do { local $/; <$curl> } =~ /^(.*)\n(\d+)$/s;
    close $curl;
    return { success => scalar($status =~ /^2/), status => $status,
        content => $text };
}

# A call of its API as the administrator; what it answers, decoded.
sub api {
    my ($self, $method, $path, $content) = @_;
    my $r = $self->_call($method, "/api/v2/$path",
        $content ? JSON::PP::encode_json($content) : undef);
    die "influxd 2: $path: $r->{status} $r->{content}\n" if !$r->{success};
    return length $r->{content} ? JSON::PP::decode_json($r->{content}) : {};
}

# Rows of all tables that Flux gives, as query() has them.
sub flux {
    my ($self, $query) = @_;
    my $org = $self->{org} =~ s/ /%20/gr;
    my $r = http('POST', $self->url("/api/v2/query?org=$org"), {
        headers => { Authorization => "Token $self->{token}",
            'Content-Type' => 'application/vnd.flux' },
        content => $query });
    die "influxd 2: $r->{status} $r->{content}: $query\n" if !$r->{success};
    my (@rows, @names);
    for my $line (split /\r?\n/, $r->{content}) {
        if ($line eq '') {
            @names = ();
            next;
        }
        my @cells = map { s/^"(.*)"$/$1/sr =~ s/""/"/gr }
            $line =~ /\G(?:^|,)("(?:[^"]|"")*"|[^,]*)/g;
        if (!@names) {
            @names = @cells;
            next;
        }
        my %row;
        @row{@names} = @cells;
        die "influxd 2: $row{error}: $query\n" if defined $row{error};
        delete @row{'', 'result', 'table'};
        push @rows, \%row;
    }
    return @rows;
}

sub _org_id {
    my ($self) = @_;
    return $self->api('GET', 'orgs')->{orgs}[0]{id};
}

sub make_bucket {
    my ($self, $name) = @_;
    return $self->api('POST', 'buckets', { orgID => $self->_org_id,
        name => $name })->{id};
}

# A token that may write all buckets, and nothing else.
sub make_token {
    my ($self) = @_;
    my $id = $self->_org_id;
    return $self->api('POST', 'authorizations', { orgID => $id,
        permissions => [{ action => 'write', resource => { type => 'buckets',
            orgID => $id } }] });
}

sub _call_write {
    my ($self, $path, $lines) = @_;
    return $self->_call('POST', $path, $lines);
}

sub _post_query {
    my ($self, $form) = @_;
    my $query = HTTP::Tiny->new->www_form_urlencode($form);
    return $self->_call('GET', "/query?$query");
}

1;

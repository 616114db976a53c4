package ImxDatabase;
#
# Databases for InfluxMetricsQuery: SQLite's file, and private servers of
# PostgreSQL and MariaDB, which refuse to run as root.
#
#   my $db = ImxDatabase::postgres();    # or maria(), or sqlite($file)
#   $db->sql('CREATE TABLE ...');
#   $db->conf                            # mod_dbd's directives for it
#
use strict;
use warnings;
use ImxTest;

sub sqlite { return ImxDatabase::Sqlite->new(@_) }
sub postgres { return ImxDatabase::Postgres->new(@_) }
sub maria { return ImxDatabase::Maria->new(@_) }

# A table of models of some species, as in the tour: (cat => 3, dog => 2).
sub models {
    my ($db, %count) = @_;
    $db->sql('DROP TABLE IF EXISTS zoo_model; CREATE TABLE zoo_model '
        . '(id integer, species varchar(40))');
    my $id = 0;
    $db->sql(join ';', map { my $s = $_; map { $id++;
        "INSERT INTO zoo_model VALUES ($id, '$s')" } 1 .. $count{$s} }
        sort keys %count);
    return $db;
}

# Persistent connections are of no use to queries, and every child opens one.
sub _conf {
    my ($driver, $params) = @_;
    return "DBDriver $driver\nDBDParams \"$params\"\nDBDPersist Off\n";
}

package ImxDatabase::Sqlite;
use ImxTest;

my $files = 0;

sub new {
    my ($class) = @_;
    my $self = bless { file => work_dir() . '/models' . ++$files . '.db' },
        $class;
    $self->sql('CREATE TABLE empty (id integer)');
    return $self;
}

sub conf { ImxDatabase::_conf('sqlite3', $_[0]{file}) }

sub sql {
    my ($self, $sql) = @_;
    open my $p, '|-', 'sqlite3', '-bail', '-cmd', '.timeout 5000',
        $self->{file} or die "sqlite3: $!";
    print $p $sql, ";\n";
    close $p or die "sqlite3: $sql";
    return $self;
}

package ImxDatabase::Server;
our @ISA = ('ImxTest::Process');
use ImxTest;

# As a user other than root, as whom the programs would not run.
sub as {
    return @_ if $>;
    my ($user, $uid, $gid) = _user();
    return ('setpriv', "--reuid=$uid", "--regid=$gid", '--clear-groups', @_);
}

sub _user {
    my ($user) = grep { defined getpwnam $_ } qw(www-data nobody);
    return ($user, (getpwnam $user)[2, 3]);
}

sub make_dir {
    my ($self) = @_;
    my $data = "$self->{dir}/data";
    mkdir $data, 0700 or die "$data: $!";
    chown +(_user())[1, 2], $data, $self->{dir} if !$>;
    return $data;
}

sub run {
    my ($self, @command) = @_;
    my $log = "$self->{dir}/setup.log";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        chdir $self->{dir};
        $ENV{HOME} = $self->{dir};
        exec as(@command) or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    die "@command: " . slurp($log) if $?;
    return $self;
}

package ImxDatabase::Postgres;
our @ISA = ('ImxDatabase::Server');
use ImxTest;

sub _program {
    my ($name) = @_;
    return which_one($name, sort { $b cmp $a }
        glob "/usr/lib/postgresql/*/bin/$name") // die "no $name";
}

# password: asked for on TCP; on the socket nobody is asked.
sub new {
    my ($class, %o) = @_;
    my $self = $class->_init('postgres', %o);
    my $data = $self->make_dir;
    $self->run(_program('initdb'), '-D', $data, '-U', 'shop', '-A', 'trust',
        '-E', 'UTF8', '--no-locale', '-N');
    if ($o{password}) {
        spew("$data/pg_hba.conf", "local all all trust\n"
            . "host all all 127.0.0.1/32 scram-sha-256\n");
    }
    $self->start;
    $self->sql("ALTER USER shop PASSWORD '$o{password}'") if $o{password};
    return $self;
}

sub start {
    my ($self) = @_;
    my $log = "$self->{dir}/postgres.log";
    unlink "$self->{dir}/data/postmaster.pid";
    $self->_spawn($log, { HOME => $self->{dir} }, ImxDatabase::Server::as(
        _program('postgres'), '-D', "$self->{dir}/data", '-p', $self->{port},
        '-k', $self->{dir}, '-c', 'listen_addresses=127.0.0.1',
        '-c', 'fsync=off', '-c', 'shared_buffers=4MB',
        '-c', 'max_connections=20'));
    return $self->_wait_ready(sub { eval { $self->sql('SELECT 1'); 1 } },
        $log);
}

# What is asked to end waits for clients that are connected: this one does not.
sub stop { $_[0]->_stop('QUIT', 20) }

# A postmaster's children end once they see that it is gone.
sub kill { $_[0]->_stop('KILL', 10) }

sub sql {
    my ($self, $sql) = @_;
    return $self->run('psql', '-qAt', '-v', 'ON_ERROR_STOP=1', '-h',
        $self->{dir}, '-p', $self->{port}, '-U', 'shop', '-d', 'postgres',
        '-c', $sql);
}

# What a query of one value gives.
sub value {
    my ($self, $sql) = @_;
    open my $p, '-|', 'psql', '-qAt', '-h', $self->{dir}, '-p', $self->{port},
        '-U', 'shop', '-d', 'postgres', '-c', $sql or die "psql: $!";
    chomp(my $value = <$p> // '');
    close $p;
    return $value;
}

sub conf {
    my ($self, $more) = @_;
    return ImxDatabase::_conf('pgsql', "host=127.0.0.1 port=$self->{port} "
        . 'user=shop dbname=postgres ' . ($more // ''));
}

package ImxDatabase::Maria;
our @ISA = ('ImxDatabase::Server');
use ImxTest;

sub new {
    my ($class) = @_;
    my $self = $class->_init('maria');
    my $data = $self->make_dir;
    $self->run('mariadb-install-db', '--no-defaults', "--datadir=$data",
        '--auth-root-authentication-method=normal', '--skip-test-db');
    return $self->start;
}

sub start {
    my ($self) = @_;
    my $log = "$self->{dir}/mariadbd.log";
    $self->_spawn($log, { HOME => $self->{dir} }, ImxDatabase::Server::as(
        which_one('mariadbd') // die('no mariadbd'), '--no-defaults',
        "--datadir=$self->{dir}/data", "--socket=$self->{dir}/maria.sock",
        "--port=$self->{port}", '--bind-address=127.0.0.1',
        '--innodb-buffer-pool-size=8M', "--pid-file=$self->{dir}/maria.pid"));
    $self->_wait_ready(sub { eval { $self->sql('SELECT 1', ''); 1 } }, $log);
    $self->sql('CREATE DATABASE IF NOT EXISTS shop; '
        . q{CREATE USER IF NOT EXISTS shop@'127.0.0.1' IDENTIFIED BY 'secret';}
        . q{GRANT ALL ON shop.* TO shop@'127.0.0.1'}, '');
    return $self;
}

sub sql {
    my ($self, $sql, $database) = @_;
    return $self->run('mariadb', '--no-defaults', '-u', 'root', '-S',
        "$self->{dir}/maria.sock", '-D', $database // 'shop', '-e', $sql);
}

sub conf {
    my ($self) = @_;
    return ImxDatabase::_conf('mysql', "host=127.0.0.1,port=$self->{port},"
        . 'user=shop,pass=secret,dbname=shop');
}

1;

# docs/tour-database.md, step by step: its table, its configuration, its points
# and its queries, with InfluxDB 2.7 and PostgreSQL, then SQLite.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxDatabase;
use ImxTest;
use Test::More;

my ($program, $why) = influxd2_program();
plan skip_all => "no InfluxDB 2: $why" if !$program;

# What stands in the tour between fences, by its language.
my $tour = slurp(top() . '/docs/tour-database.md');
my %block;
push @{ $block{$1} }, $2 while $tour =~ /^```(\w*)\n(.*?)^```$/gms;
my ($table, $query, $user) = @{ $block{sql} };
my ($conf) = @{ $block{apache} };
my ($lines) = @{ $block{''} };
my ($now, $sum) = @{ $block{flux} };
ok($sum, 'the tour has its parts');
(my $plain = $query) =~ s/\s+\z//;
my ($sql) = $conf =~ /1min "(.*)"$/m;
is($sql =~ s/ AS \\"int:count\\"//r, $plain, 'httpd asks what Django asks');

my $influx = influxd2();

sub tour {
    my ($name, $database, $text) = @_;
    $influx->make_bucket($name);
    my $h = httpd(module => 1, influx => $influx, figures => 1, children => 2,
        modules => ['dbd'], start => 0);
    my $token = $h->secret('token', $influx->token . "\n");
    # A second instead of a minute.
    $text =~ s/ 1min / 1s /;
    $h->reconf(conf => qq{InfluxMetricsBucket "my org" $name\n}
        . "InfluxMetricsTokenFile $token\n$text")->start;
    my $asked = $now =~ s/"httpd"/"$name"/r;
    my %count;
    my $has = sub {
        my %wanted = @_;
        return wait_until(30, sub {
            %count = map { ($_->{species} => $_->{_value}) }
                $influx->flux($asked);
            return join(' ', map { "$_ $count{$_}" } sort keys %count)
                eq join ' ', map { "$_ $wanted{$_}" } sort keys %wanted;
        }) || diag explain \%count;
    };
    ok($has->(axolotl => 1, cat => 3, dog => 2),
        "$name: how many of each species");
    my @sums = $influx->flux($sum =~ s/"httpd"/"$name"/r);
    ok(@sums > 0, "$name: sums of each time");
    is_deeply([grep { $_->{_value} != 6 } @sums], [], "$name: all together");
    is_deeply([grep { $_->{_time} !~ /:\d\dZ$/ } @sums], [],
        "$name: at whole intervals");
    $database->sql("INSERT INTO zoo_model (species) VALUES ('dog')");
    ok($has->(axolotl => 1, cat => 3, dog => 3), "$name: one more dog");
    ok($h->stop, "$name: httpd stops");
    is_deeply([grep { !/IMX0063/ } $h->complaints], [], "$name: the error log is clean");
}

my $pg = ImxDatabase::postgres(password => 'x');
$pg->sql($_) for $table, $user;
my $port = $pg->port;
tour('postgresql', $pg, $conf =~ s/port=5432/port=$port/r
    =~ s/dbname=shop/dbname=postgres/r);
$pg->stop;

my $lite = ImxDatabase::sqlite();
$lite->sql('CREATE TABLE zoo_model (id integer PRIMARY KEY, '
    . 'species varchar(40) NOT NULL)');
$lite->sql($table =~ s/^CREATE.*?;//sr =~ s/;\s*\z//r);
tour('sqlite', $lite, ($conf =~ s/^DBD.*\n//gmr) . $lite->conf);

# The points as the tour shows them.
is_deeply([map { s/ \d+$//r } split /\n/, $lines], [
    'models,species=axolotl count=1i', 'models,species=cat count=3i',
    'models,species=dog count=2i'], 'in line protocol');

finish();

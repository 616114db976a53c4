#!/usr/bin/perl
# generate.pl [DIR]: writes dashboards/ (or DIR) from the tables beside it, as
# `make dashboards` does: the dashboards, and what provisions them, in InfluxQL,
# Flux and SQL.
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Path qw(make_path);
use FindBin;
use JSON::PP ();
use lib $FindBin::Bin;
use Grafana;
use Language;
use Table;
use Yaml;

my $dir = $ARGV[0] // "$FindBin::Bin/../../dashboards";
my @boards = qw(raw-requests request-metrics server delivery);
my $json = JSON::PP->new->pretty->canonical->indent_length(2);

sub write_file {
    my ($name, $text) = @_;
    make_path(dirname("$dir/$name"));
    open my $f, '>', "$dir/$name" or die "$dir/$name: $!\n";
    print {$f} $text;
    close $f or die "$dir/$name: $!\n";
    return;
}

# What is to be changed in a data source, and the version of InfluxDB.
my %connection = (
    influxql => { url => 'http://127.0.0.1:8086', database => 'httpd',
        jsonData => { version => 'InfluxQL', dbName => 'httpd',
            httpMode => 'POST', timeInterval => '1s' } },
    flux => { url => 'http://127.0.0.1:8086',
        jsonData => { version => 'Flux', organization => 'my-org',
            defaultBucket => 'httpd', timeInterval => '1s' },
        secureJsonData => { token => '$INFLUX_TOKEN' } },
    sql => { url => 'http://127.0.0.1:8181',
        jsonData => { version => 'SQL', dbName => 'httpd', timeInterval => '1s',
            insecureGrpc => \1 },
        secureJsonData => { token => '$INFLUX_TOKEN' } },
);
my %about = (
    influxql => 'InfluxDB 1: dbName is what InfluxMetricsDatabase says. InfluxDB'
        . " 2:\n# dbName is the bucket, and a token in httpHeaderValue1 is"
        . ' needed (README.md).',
    flux => 'InfluxDB 2: organization and defaultBucket are those of'
        . " InfluxMetricsBucket,\n# the token is read from the environment"
        . ' variable INFLUX_TOKEN of Grafana.',
    sql => 'InfluxDB 3: dbName is what InfluxMetricsDatabase says, the token is'
        . " read\n# from the environment variable INFLUX_TOKEN of Grafana.",
);

sub provisioning {
    my ($language, $alerts) = @_;
    my $source = $Language::SOURCE{$language};
    my $to = "$language/provisioning";
    write_file("$to/datasources/httpd.yaml",
        "# $about{$language}\n" . Yaml::text({
            apiVersion => 1,
            datasources => [{ %$source, type => 'influxdb', access => 'proxy',
                %{ $connection{$language} } }],
        }));
    write_file("$to/dashboards/httpd.yaml",
        "# path is where the dashboards were copied to.\n" . Yaml::text({
            apiVersion => 1,
            providers => [{ name => "httpd ($language)", folder => 'httpd',
                type => 'file',
                options => { path => '/var/lib/grafana/dashboards/httpd' } }],
        }));
    write_file("$to/alerting/httpd.yaml",
        "# Made by tools/dashboards/generate.pl from alerts.txt.\n"
        . Yaml::text(Grafana::alerts($alerts, $language)));
    return;
}

my %table = map { ($_ => Table::read_file("$FindBin::Bin/$_.txt")) }
    @boards, 'alerts';
for my $language (@Language::ALL) {
    write_file("$language/$_.json",
        $json->encode(Grafana::dashboard($table{$_}, $language))) for @boards;
    provisioning($language, $table{alerts});
}

# Beside the folders, so that no provisioning loads it twice.
unlink "$dir/raw-requests.json";
symlink 'influxql/raw-requests.json', "$dir/raw-requests.json"
    or die "$dir/raw-requests.json: $!\n";

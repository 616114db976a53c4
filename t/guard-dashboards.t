# dashboards/ is what tools/dashboards/generate.pl makes of its tables, says the same
# in InfluxQL, Flux and SQL, and is installed as its README says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Find qw(find);
use File::Path qw(make_path);
use ImxBoards;
use ImxTest;
use JSON::PP ();
use Test::More;

chdir top() or die top() . ": $!";

sub files {
    my ($dir) = @_;
    my %text;
    find(sub {
        $text{ $File::Find::name =~ s{^\Q$dir\E/}{}r } = slurp($_) if -f;
    }, $dir);
    return \%text;
}

my $made = work_dir() . '/dashboards';
is(system('perl', 'tools/dashboards/generate.pl', $made), 0, 'they are made');
my ($is, $should) = (files('dashboards'), files($made));
delete $is->{$_} for grep { /^README\.md$|\.png$/ } keys %$is;
cmp_ok(scalar keys %$should, '>=', 21, 'of all kinds');
is_deeply([sort keys %$is], [sort keys %$should],
    'the files are those that make dashboards makes');
is_deeply([grep { ($is->{$_} // '') ne $should->{$_} } sort keys %$should], [],
    'and nobody has changed them by hand');

# README's commands put each dashboard once where Grafana looks for it.
sub installed {
    my ($language) = @_;
    my $to = work_dir() . "/$language";
    my ($commands) = slurp('dashboards/README.md')
        =~ /^For InfluxQL; [^\n]*\n\n((?: {4}[^\n]*\n)+)/m;
    $commands =~ s/\binfluxql\b/$language/g;
    $commands =~ s{ /(?=etc/|var/)}{ $to/}g;
    make_path("$to/etc/grafana/provisioning");
    is(system('sh', '-ec', "cd dashboards; $commands"), 0,
        "$language: the commands work");
    my ($path) = slurp("$to/etc/grafana/provisioning/dashboards/httpd.yaml")
        =~ m{path: "?(/[\w/]+)};
    my %uid;
    $uid{ JSON::PP::decode_json($_)->{uid} }++ for values %{ files("$to$path") };
    return is_deeply([sort values %uid], [1, 1, 1, 1],
        "$language: four dashboards, each once");
}

installed($_) for languages();
is(slurp('dashboards/raw-requests.json'),
    slurp('dashboards/influxql/raw-requests.json'),
    'raw-requests.json beside them is the one in InfluxQL');

my (%of, %uid);
for my $language (languages()) {
    for my $b (boards($language)) {
        my $board = $b->{board};
        my $name = "$language: $board->{title}";
        ok(!$uid{ $board->{uid} }++, "$name: its uid is its own");
        my @panels = grep { $_->{type} ne 'row' } @{ $board->{panels} };
        push @{ $of{ $board->{title} } }, join ', ',
            map { "$_->{title} ($_->{type})" } @panels;
        is_deeply([map { $_->{title} } grep { !$_->{description} || !$_->{targets}
            || $_->{type} ne 'table' && !$_->{fieldConfig}{defaults}{unit} }
            @panels], [], "$name: each panel has queries, a unit, a description");
        my %place;
        $place{"$_->{gridPos}{x} $_->{gridPos}{y}"}++ for @{ $board->{panels} };
        is_deeply([grep { $place{$_} > 1 } keys %place], [],
            "$name: no panel stands on another");
        my $is_raw = $board->{title} eq 'Raw Requests';
        is_deeply([map { $_->{title} } grep {
            my ($seconds) = ($_->{interval} // '') =~ /^(\d+)s$/;
            my $least = $is_raw ? 1 : 10;
            $least = 60 if grep { /request-buckets/
                && /GROUP BY (?:time|1)|aggregateWindow/ }
                map { $_->{query} // $_->{rawSql} } @{ $_->{targets} };
            ($seconds // 0) < $least;
        } @panels], [], "$name: no panel asks for more than there is");
    }
    my %seen;
    is_deeply([grep { $seen{$_}++ } map { $_->{uid} } alert_rules($language)],
        [], "$language: alert rules have names of their own");
}
is(scalar keys %of, 4, 'four dashboards');
for my $title (sort keys %of) {
    my ($first, @other) = @{ $of{$title} };
    is_deeply(\@other, [$first, $first], "$title: the same panels in each language");
}
finish();

#!/usr/bin/perl
# boards.pl [SECONDS]: the pictures in dashboards/README.md.  A private httpd under
# load fills a private InfluxDB for that long (300); then every query of the
# InfluxQL dashboards is asked there, and what it answers is drawn by uPlot in a
# headless Chromium, laid out as Grafana does.  In the middle httpd is restarted
# gracefully, a child is killed, and there is a rush; later InfluxDB is stopped for
# a while.
use strict;
use warnings;
use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/../../t/lib";
use ImxBoards;
use ImxBrowser;
use ImxTest;
use ImxTraffic;
use List::Util qw(max);

my $seconds = $ARGV[0] // 300;
my $interval = 5;
my $top = top();
my $json = JSON::PP->new->canonical->allow_nonref;
die "there is no Chromium\n" if !ImxBrowser::program();

my $db = influxd();
my $httpd = traffic_httpd($db, "${interval}s");
my $from = time;
# Three hills of load.
for my $part (1, 2, 3) {
    my @loads = traffic_start($httpd, $seconds / 3, (8, 25, 15)[$part - 1]);
    nap($seconds / 9);
    if ($part == 2) {
        traffic_upset($httpd);
        nap($seconds / 20);
        # More than there are workers, for a while.
        push @loads, client(port => $httpd->port('shop.example.org'),
            path => '/slow', c => 40, seconds => $seconds / 20);
    }
    if ($part == 3) {
        $db->pause;
        nap($seconds / 8);
        $db->resume;
    }
    $_->wait for @loads;
}
my $to = time;
nap(2 * $interval);

# ---- the answers, as Grafana has them ----

sub name_of {
    my ($alias, $tags, $column) = @_;
    return $column if !defined $alias;
    return $alias =~ s/\$tag_(\w+)/$tags->{$1} \/\/ ''/ger =~ s/\$col/$column/r;
}

sub answer {
    my ($query) = @_;
    my $r = HTTP::Tiny->new->post_form($db->url('/query'),
        { q => $query, db => 'httpd', epoch => 'ms' });
    my $result = $json->decode($r->{content})->{results}[0];
    die "$result->{error}: $query\n" if $result->{error};
    return @{ $result->{series} // [] };
}

sub series_of {
    my ($target, $query) = @_;
    my @series;
    for my $s (answer($query)) {
        my @columns = @{ $s->{columns} };
        push @series, map {
            my $i = $_;
            { name => name_of($target->{alias}, $s->{tags}, $columns[$i]),
                points => [map { [$_->[0] / 1000, $_->[$i]] }
                    grep { defined $_->[$i] } @{ $s->{values} }] };
        } 1 .. $#columns;
    }
    return grep { @{ $_->{points} } } @series;
}

sub table_of {
    my ($query, $most, $sort) = @_;
    my (@columns, @rows);
    for my $s (answer($query)) {
        my @tags = sort keys %{ $s->{tags} // {} };
        @columns = (@tags, @{ $s->{columns} });
        push @rows, map { [@{ $s->{tags} // {} }{@tags}, $_->[0] / 1000,
            @$_[1 .. $#$_]] } @{ $s->{values} };
    }
    if (defined $sort) {
        my ($by) = grep { $columns[$_] eq $sort } 0 .. $#columns;
        @rows = sort { $b->[$by] <=> $a->[$by] } @rows;
    }
    # The time of a sum is the begin of the range.
    my $drop = @columns && $columns[0] ne 'time';
    my @keep = grep { !$drop || $columns[$_] ne 'time' } 0 .. $#columns;
    return ([@columns[@keep]], [map { [@$_[@keep]] }
        @rows > $most ? @rows[0 .. $most - 1] : @rows]);
}

sub _is { return $_[0] ? JSON::PP::true : JSON::PP::false }

sub panel {
    my ($p, $context) = @_;
    my $d = $p->{fieldConfig}{defaults};
    my %drawn = (title => $p->{title}, kind => $p->{type}, %{ $p->{gridPos} },
        unit => $d->{unit}, max => $d->{max},
        thresholds => $d->{thresholds}{steps},
        right => $p->{fieldConfig}{overrides}[0]{matcher}{options},
        log => _is(($d->{custom}{scaleDistribution}{type} // '') eq 'log'),
        stacked => _is(($d->{custom}{stacking}{mode} // '') eq 'normal'));
    return \%drawn if $p->{type} eq 'row';
    my $every = max(2 * $interval, $p->{interval} =~ s/s$//r / 3);
    for my $target (@{ $p->{targets} // [] }) {
        my $query = filled('influxql', $target->{query},
            { %$context, interval => $every });
        if ($p->{type} eq 'table') {
            @drawn{qw(columns rows)} = table_of($query, $p->{gridPos}{h} + 2,
                $p->{options}{sortBy}[0]{displayName});
        }
        else {
            push @{ $drawn{series} }, series_of($target, $query);
        }
    }
    $drawn{series} //= [];
    return \%drawn;
}

my $browser = ImxBrowser->new;
for my $board (boards('influxql')) {
    my %context = (from => int $from, to => int $to, interval => 10);
    $context{values} = choose($board, 'all', sub {
        my ($v, $query) = @_;
        return map { $_->{value} // $_->{name} } $db->query($query);
    }, \%context);
    my ($events) = grep { $_->{name} =~ /^annotation/ } queries($board);
    my @events = $events ? map { { time => $_->{time} / 1e9, text => $_->{text} } }
        $db->query(filled('influxql', $events->{query}, \%context)) : ();
    my %drawn = (title => $board->{board}{title},
        about => $board->{board}{description}, from => int $from, to => int $to,
        events => \@events, panels => [map { panel($_, \%context) }
            @{ $board->{board}{panels} }]);
    my $page = slurp("$FindBin::Bin/boards.html");
    my $uplot = "$top/src/show/page/uplot";
    my %part = ('UPLOT.CSS' => slurp("$uplot/uPlot.min.css"),
        'UPLOT.JS' => slurp("$uplot/uPlot.iife.min.js"),
        'BOARDS.JS' => slurp("$FindBin::Bin/boards.js"),
        BOARD => $json->utf8->encode(\%drawn) =~ s{</}{<\\/}gr);
    $page =~ s{/\*(UPLOT\.CSS|UPLOT\.JS|BOARDS\.JS|BOARD)\*/}{$part{$1}}g;
    my ($name) = $board->{file} =~ m{([^/]+)\.json$};
    my $file = spew(work_dir() . "/$name.html", $page);
    my $view = $browser->page(width => 1500, height => 900, dark => 1);
    $view->go("file://$file");
    $view->until(20, 'document.readyState === "complete"');
    my @said = $view->messages;
    die "$name: the console says: @{[ $json->encode(\@said) ]}\n" if @said;
    $view->picture("$top/dashboards/$name.png");
    $view->close;
    print "dashboards/$name.png\n";
}

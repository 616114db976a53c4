# The dashboards and alert rules are what Grafana 9 to 12 take: TypeScript holds
# them against Grafana's own types, as npm has them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use ImxTest;
use Test::More;

chomp(my $judge = qx(sh @{[top()]}/tools/build-judges.sh grafana 2>/dev/null));
plan skip_all => "no types of Grafana: $judge" if $? != 0;
chomp(my $node = which_one('node') // '');
plan skip_all => 'there is no node' if !$node;

# A folder of our own, as the judge writes into it.
my $here = work_dir() . '/judge';
make_path($here);
symlink "$judge/node_modules", "$here/node_modules" or die "symlink: $!";
spew("$here/$_", slurp("$judge/$_"))
    for qw(check.mjs plain.ts tsconfig.json package.json);

sub judged {
    my ($dashboards) = @_;
    my $said = qx(cd $here && $node check.mjs $dashboards 2>&1);
    return ($? >> 8, split /\n/, $said);
}

my ($rc, $read, @errors) = judged(top() . '/dashboards');
is($rc, 0, 'Grafana 9, 10, 11 and 12 take all dashboards and alert rules')
    or diag(join "\n", @errors[0 .. ($#errors > 20 ? 20 : $#errors)]);
my %read = reverse $read =~ /(\d+) (\w+)/g;
is($read{dashboards}, 12, $read);
cmp_ok($read{panels}, '>=', 150, 'with their panels');
cmp_ok($read{rules}, '>=', 18, 'and alert rules');
is($read{yaml}, 9, 'YAML');

# What is wrong is found: each of these would be taken by a judge that sleeps.
{
    my $broken = work_dir() . '/broken';
    is(system("cp -R @{[top()]}/dashboards $broken"), 0, 'a copy');
    my %break = (
        'influxql/server.json' => sub { s/"type" : "timeseries"/"type" : 7/r },
        'flux/delivery.json' => sub { s/"graphTooltip" : 1/"graphTooltip" : 9/r },
        'sql/request-metrics.json' => sub { s/"calculate"/"calkulate"/r },
        'influxql/provisioning/alerting/httpd.yaml' =>
            sub { s/noDataState: "OK"/noDataState: "Fine"/r },
    );
    unlink grep { !$break{s{^\Q$broken\E/}{}r} } glob "$broken/*/*.json";
    for my $file (keys %break) {
        local $_ = slurp("$broken/$file");
        my $text = $break{$file}->();
        ok($text ne $_, "$file is broken");
        spew("$broken/$file", $text);
    }
    my (undef, undef, @found) = judged($broken);
    for my $file (sort keys %break) {
        ok((grep { /^\Q$file\E/ } @found), "$file: found");
    }
}
finish();

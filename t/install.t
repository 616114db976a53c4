# make install into a private place, and the files for a2enmod.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";
my $destination = work_dir() . '/destination';
my $text = `make install BUILD=@{[build()]} DESTDIR=$destination 2>&1`;
is($?, 0, 'make install DESTDIR=...') or diag $text;

my @files = split /\n/, `find $destination -type f 2>/dev/null`;
my ($module) = grep { m{/mod_influx_metrics\.so$} } @files;
ok(defined $module, 'installs the module') or diag $text;
my ($load) = grep { m{/influx_metrics\.load$} } @files;
ok(defined $load, 'installs influx_metrics.load') or diag "@files";
my ($conf) = grep { m{/influx_metrics\.conf$} } @files;
ok(defined $conf, 'installs influx_metrics.conf') or diag "@files";
my $installed = ($module // '') =~ s/^\Q$destination\E//r;
like(slurp($load // ''), qr/^LoadModule influx_metrics_module \Q$installed\E$/m,
    'the .load file names the installed module');

my ($program) = grep { m{/usr/local/bin/influx-metrics-top$} } @files;
ok(defined $program && -x $program, 'installs influx-metrics-top') or diag "@files";
like(`$program --help 2>&1`, qr/^usage: influx-metrics-top/, '... which runs')
    if $program;
my ($manual) = grep { m{/share/man/man1/influx-metrics-top\.1$} } @files;
ok(defined $manual, 'and its manual page') or diag "@files";

# httpd as a2enmod would have it, but for the place.
my $h = httpd(start => 0);
$h->put('mods/influx_metrics.load',
    slurp($load // '') =~ s/\Q$installed\E/$module/gr);
$h->put('mods/influx_metrics.conf', slurp($conf // ''));
$h->reconf(conf => "Include mods/*.load\nInclude mods/*.conf");
my ($ok, $said) = $h->configtest;
ok($ok, 'both files are taken by httpd') or diag $said;
like($said, qr/\ASyntax OK\s*\z/, 'without a word');

# Nothing outside the destination was touched by it.
my $place = "/etc/apache2/mods-available/influx_metrics.load";
ok(!-e $place || -M $place > 0, 'this machine has no new file');

finish();

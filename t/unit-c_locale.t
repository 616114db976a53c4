#!/usr/bin/perl
# c_locale.c: the C program prints the TAP; here it is given a locale in which
# numbers have a comma, where one can be made.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;

my $program = build() . '/unit/c_locale';
my $locales = work_dir() . '/locales';
mkdir $locales or die "$locales: $!\n";
if (my $localedef = which_one('localedef', '/usr/bin/localedef')) {
    system "$localedef -i de_DE -f UTF-8 $locales/comma >/dev/null 2>&1";
}
local $ENV{LOCPATH} = $locales;
system $program;
exit($? == 0 ? 0 : 1);

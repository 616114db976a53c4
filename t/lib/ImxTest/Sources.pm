package ImxTest::Sources;
#
# What docs/architecture.md says of the source files.
#
use strict;
use warnings;
use Exporter qw(import);
use ImxTest::Files;

our @EXPORT = qw(rooms low_files);

# From the tables of docs/architecture.md: level of each room, the names of the
# rooms that know httpd, and room/file => what it owns, without the ending.
sub rooms {
    my (%level, %httpd, %files);
    for (split /\n/, slurp(top() . "/docs/architecture.md")) {
        if (/^\|\s*(\d+)\s*\|\s*(\S+)\s*\|[^|]*\|\s*(yes|no)\s*\|/) {
            $level{$2} = $1;
            $httpd{$2} = 1 if $3 eq 'yes';
        }
        elsif (m{^\|\s*(\.|src/\w+)\s*\|\s*(\w+)\.(?:\[ch\]|[ch])\s*\|}) {
            push @{$files{$1}}, $2;
        }
    }
    return (\%level, \%httpd, \%files);
}

# The source files of the rooms without httpd, from the top, without endings.
sub low_files {
    my ($level, $httpd) = rooms();
    return ('lineproto', map { s/\.c$//r } map { glob "$_/*.c" }
        grep { !$httpd->{$_} } sort keys %$level);
}

1;

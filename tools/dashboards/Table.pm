package Table;
#
# Reads a table of panels or of alerts:
#
#   title: Server                what stands before the first panel is the head
#   === Workers                  a row
#   == Accept queue              a panel (or an alert); its keys follow
#   unit: short
#   influxql: SELECT ...
#       ...                      indented lines go on with the key above
#
# Lines that begin with # are comments.
#
use strict;
use warnings;

# { title => ..., items => [{ row => 'Workers' }, { title => ..., key => ... }] }
sub read_file {
    my ($file) = @_;
    open my $f, '<', $file or die "$file: $!\n";
    my $head = { items => [] };
    my ($at, $key) = ($head);
    while (my $line = <$f>) {
        chomp $line;
        next if $line =~ /^#|^\s*$/;
        if ($line =~ /^=== (.+)$/) {
            push @{ $head->{items} }, $at = { row => $1 };
        }
        elsif ($line =~ /^== (.+)$/) {
            push @{ $head->{items} }, $at = { title => $1 };
        }
        elsif ($line =~ /^(\w+):(?: +(.*))?$/) {
            $key = $1;
            die "$file:$.: $key stands twice\n" if exists $at->{$key};
            $at->{$key} = $2 // '';
        }
        elsif ($line =~ /^ {4}(.*)$/ && defined $key) {
            $at->{$key} .= (length $at->{$key} ? "\n" : '') . $1;
        }
        else {
            die "$file:$.: neither a key nor a line of one\n";
        }
    }
    close $f;
    return $head;
}

1;

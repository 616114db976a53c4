# Arrows point down: a file includes headers of its own room and of rooms below
# it, as the tables in docs/architecture.md say; no circle inside a room; rooms
# without httpd stay so; no file has grown too large for one thing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

chdir top() or die top() . ": $!";

my ($level, $httpd, $files) = rooms();
cmp_ok(scalar keys %$level, '>=', 8, 'docs/architecture.md has the rooms');

my @sources = (glob('*.[ch]'), glob('src/*/*.[ch]'));
sub room { return $_[0] =~ m{^(src/\w+)/} ? $1 : '.' }
sub base { return $_[0] =~ s{^.*/}{}r =~ s/\.[ch]$//r }
sub level { return base($_[0]) eq 'lineproto' ? 0.5 : $level->{room($_[0])} }

my %there;
$there{room($_)}{base($_)} = 1 for @sources;
for my $room (sort keys %there) {
    ok(defined $level->{$room}, "$room has a level");
    is_deeply([sort @{$files->{$room} // []}], [sort keys %{$there{$room}}],
        "$room: the table has each of its files once, and no other");
}

my ($arrows, %uses) = 0;
for my $file (@sources) {
    for my $name (slurp($file) =~ /^\s*#\s*include\s+"([^"]+)"/mg) {
        my $other = -f $name ? $name : "src/$name";
        next if !-f $other || base($other) eq base($file);    # httpd's; its own
        $arrows++;
        if (room($other) eq room($file) && level($other) == level($file)) {
            $uses{$file =~ s/\.[ch]$//r}{$other =~ s/\.h$//r} = 1;
            next;
        }
        ok(level($other) < level($file), "$file includes $name: downwards");
    }
}
cmp_ok($arrows, '>=', 30, "$arrows arrows were looked at");

my (%state, @circle);
sub visit {
    my ($file) = @_;
    return if ($state{$file} // '') eq 'done';
    return push @circle, $file if ($state{$file} // '') eq 'open';
    $state{$file} = 'open';
    visit($_) for sort keys %{$uses{$file} // {}};
    $state{$file} = 'done';
    return;
}
visit($_) for sort keys %uses;
is_deeply(\@circle, [], 'no circle inside a room');

my @low = grep { -f } map { ("$_.c", "$_.h") } low_files();
cmp_ok(scalar @low, '>=', 6, 'the files that link without httpd are there');
for my $file (@low) {
    my @httpd = grep { /^(?:apr\w*|ap_\w+|http\w*|util_\w+|mod_\w+|mpm_\w+|
        scoreboard|unixd)\.h$/x } slurp($file) =~ /#\s*include\s+[<"]([^>"]+)/g;
    is_deeply(\@httpd, [], "$file includes nothing of httpd or APR");
}

finish();

package ImxHostile;
#
# Requests whose every part is hostile, and what the module is to make of them:
# the repairs of lineproto.h, done here once more.  Random, from a seed that the
# test prints: IMX_SEED=N repeats one.
#
#   use ImxTest; use ImxHostile;
#
#   httpd(conf => $own, ...);           # tags and fields with a client's bytes
#   my $h = hostile($n);                # { text => request number n,
#                                       #   want => { n, tag or field => value } }
#   send_all($port, map { $_->{text} } @sent);  # dies without an answer to each
#   compare(\@sent, \@rows, \@names);  # how many values differ; says a few
#   as_tag($bytes), as_field($bytes);   # undef: there is none
#   %types;                             # the key of each tag and field
#
use strict;
use warnings;
use Exporter qw(import);
use ImxTest;
use Test::More ();

our @EXPORT = qw(as_tag as_field hostile send_all compare bytes $own %types);

my $seed = $ENV{IMX_SEED} // 20261125;
srand $seed;
Test::More::diag("IMX_SEED=$seed");

# ---- what becomes of a value ----

my $utf8 = qr/[\x00-\x7f]
    | [\xc2-\xdf][\x80-\xbf]
    | \xe0[\xa0-\xbf][\x80-\xbf]
    | [\xe1-\xec\xee\xef][\x80-\xbf]{2} | \xed[\x80-\x9f][\x80-\xbf]
    | \xf0[\x90-\xbf][\x80-\xbf]{2}
    | [\xf1-\xf3][\x80-\xbf]{3} | \xf4[\x80-\x8f][\x80-\xbf]{2}/x;

# At most 1024 bytes, and no valid character in halves.
sub cut {
    my ($s) = @_;
    return $s if length $s <= 1024;
    my $cut = substr $s, 0, 1024;
    my ($tail) = $cut =~ /([\xc2-\xf4][\x80-\xbf]{0,2})\z/;
    return $cut if !defined $tail;
    my $need = $tail =~ /^[\xf0-\xff]/ ? 4 : $tail =~ /^[\xe0-\xef]/ ? 3 : 2;
    return length $tail < $need ? substr $cut, 0, 1024 - length $tail : $cut;
}

sub repair_text {
    my ($s) = @_;
    $s =~ s/($utf8)|(.)/defined $1 ? $1 : "\xef\xbf\xbd"/gesx;
    $s =~ tr/\n/ /;
    return $s;
}

# undef: there is no such field.
sub as_field {
    my ($s) = @_;
    return undef if !defined $s || $s eq '';
    return repair_text(cut($s));
}

# No backslashes at the end or before what gets one; undef: there is no tag.
sub as_tag {
    my ($s) = @_;
    return undef if !defined $s || $s eq '';
    $s = cut($s);
    $s =~ s/\\+\z//;
    $s =~ tr/\x00-\x1f\x7f/ /;    # before anything gets a backslash
    $s =~ s/\\+(?=[,= ])//g;
    return $s eq '' ? undef : repair_text($s);
}

# ---- what is sent ----

my @pieces = (
    '"', "'", ',', '=', '\\', '\\\\', ' ', '  ', '#', '%', '$', '${x}', '%{x}',
    '\\,', '\\ ', '\\=', '\\"', ',x=1', '" ', ' 1i', ' 17', '=,', '_', 'time',
    'a', 'xyz', '0', '-', '&', ';', '<', '>', '|', '`', '*', '(', ')', '[',
    '{', '}', '/', '..', 'other', 'null', 'None', 't', 'true', '1e999', 'NaN',
    "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xef\xbf\xbd", # valid
    "\xc3", "\x80", "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80",
    "\xe2\x82", "\xf0\x9f\x98", "\xc3\xc3\xa4",
);
my @controls = map { chr } 1 .. 9, 11, 12, 14 .. 31, 127;
my @everywhere = (@pieces, "\t");       # what httpd takes in a header

sub word {
    my ($most, @of) = @_;
    return join '', map { $of[rand @of] } 1 .. 1 + rand $most;
}

# httpd takes away white space around a header's value.
sub header_word {
    my $w = word(8, @everywhere);
    $w =~ s/^[ \t]+|[ \t]+\z//g;
    return $w;
}

sub encode {
    my ($s) = @_;
    return $s =~ s/([^A-Za-z0-9])/sprintf '%%%02x', ord $1/ger;
}

# A path as httpd sees it, and as it is written.
sub path_word {
    my $w = word(8, @pieces, @controls, "\n", "\r\n", "\n\n", "\\\n",
        "\nx y=1");
    $w =~ s{/|\.}{_}g;
    return $w;
}

# Many requests on a connection; returns nothing.
sub send_all {
    my ($port, @requests) = @_;
    while (my @some = splice @requests, 0, 100) {
        $some[-1] =~ s/\r\n\r\n\z/\r\nConnection: close\r\n\r\n/;
        my $got = raw($port, join('', @some), timeout => 60);
        my $n = () = $got =~ m{^HTTP/1\.1 \d\d\d }mg;
        $n == @some or die "$n answers for " . @some . " requests, the last: "
            . substr($got, -300) . $some[$n - 1];
    }
}

sub bytes {
    my ($s) = @_;
    utf8::encode($s) if defined $s;
    return $s;
}

our $own = <<'CONF';
InfluxMetricsTagLimit 100000
InfluxMetricsTag tag_x "%{req:X-T}"
InfluxMetricsTag tag_path "%{REQUEST_URI}"
InfluxMetricsTag tag_query "%{QUERY_STRING}"
InfluxMetricsTag tag_agent "%{HTTP_USER_AGENT}"
InfluxMetricsTag tag_cookie "<%{HTTP_COOKIE}>"
InfluxMetricsFields +uri +query +user_agent +referer +client
InfluxMetricsField n int "%{req:N}"
InfluxMetricsField own_x string "%{req:X-T}"
InfluxMetricsField own_cookie string "%{HTTP_COOKIE}"
InfluxMetricsField own_path string "%{REQUEST_URI}"
InfluxMetricsField own_two string "%{req:X-T}|%{REQUEST_URI}"
InfluxMetricsField own_int int "%{req:X-T}"
InfluxMetricsField own_float float "%{req:X-T}"
InfluxMetricsField own_bool bool "%{req:X-T}"
CONF

our %types = (
    (map { $_ => 'tag' } qw(hostname method process server status tag_x
        tag_path tag_query tag_agent tag_cookie)),
    (map { $_ => 'string' } qw(uri query user_agent referer client own_x
        own_cookie own_path own_two)),
    (map { $_ => 'float' } qw(request_time application_time own_float)),
    (map { $_ => 'integer' } qw(bytes_sent n own_int)), own_bool => 'boolean',
);

# One hostile request; what it is to become.
sub hostile {
    my ($n) = @_;
    my $path = '/' . path_word();
    my $query = int rand 4 ? word(6, map { s/ /+/gr } grep { !/#/ } @pieces)
        : '';
    my %header = ('X-T' => header_word(), 'User-Agent' => header_word(),
        Referer => header_word(), Cookie => header_word());
    # Now and then a value that is a number or a truth.
    $header{'X-T'} = (qw(17 -4 0.5 1e3 true off 9223372036854775807))[rand 7]
        if $n % 10 == 0;
    my @names = sort keys %header;
    delete $header{ $names[rand 4] } if $n % 7 == 0;
    $header{ $names[rand 4] } = '' if $n % 11 == 0;
    $query =~ s/[\x80-\xff\x00-\x20"<>\\^`{|}\x7f]/encode($&)/ge;
    my $text = 'GET ' . '/' . encode(substr $path, 1)
        . (length $query ? "?$query" : '') . " HTTP/1.1\r\nHost: x\r\nN: $n\r\n"
        . join('', map { "$_: $header{$_}\r\n" } sort keys %header) . "\r\n";
    my $x = $header{'X-T'} // '';
    my %tag = (tag_x => $x, tag_path => $path, tag_query => $query,
        tag_agent => $header{'User-Agent'},
        tag_cookie => '<' . ($header{Cookie} // '') . '>');
    my %field = (uri => $path, query => $query,
        user_agent => $header{'User-Agent'}, referer => $header{Referer},
        client => '127.0.0.1', own_x => $x, own_cookie => $header{Cookie},
        own_path => $path, own_two => "$x|$path");
    my %want = ((map { $_ => as_tag($tag{$_}) } keys %tag),
        (map { $_ => as_field($field{$_}) } keys %field), n => $n);
    my $is_int = $x =~ /^[-+]?\d{1,19}\z/;
    $want{own_int} = $x if $is_int;
    $want{own_float} = $x if $x =~ /^[-+]?\d+(?:\.\d+)?(?:e\d{1,2})?\z/;
    $want{own_bool} = $x =~ /^(?:true|1|on|yes)\z/i
        if $x =~ /^(?:true|false|on|off|yes|no|0|1)\z/i;
    return { text => $text, want => \%want };
}

# How many differ, with the first few.
sub compare {
    my ($wanted, $rows, $names) = @_;
    my %row = map { $_->{n} => $_ } @$rows;
    my $wrong = 0;
    for my $h (@$wanted) {
        my ($want, $got) = ($h->{want}, $row{ $h->{want}{n} } // {});
        for my $key (@$names) {
            my ($w, $g) = ($want->{$key}, $got->{$key});
            $g = ref $g ? ($g ? 1 : 0) : bytes($g);
            $w = $w ? 1 : 0 if defined $w && $key eq 'own_bool';
            next if !defined $w && (!defined $g || $g eq '');
            next if defined $w && defined $g && $w eq $g;
            next if defined $w && defined $g && $key =~ /^own_(?:int|float)$/
                && ($w == $g || sprintf('%.15g', $w) eq sprintf '%.15g', $g);
            Test::More::diag("request $want->{n}: $key is ",
                Test::More::explain($g), " wanted ", Test::More::explain($w),
                " sent: $h->{text}") if $wrong++ < 5;
        }
    }
    return $wrong;
}

1;

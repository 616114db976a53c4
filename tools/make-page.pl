#!/usr/bin/perl
# make-page.pl DIR FILE: makes the C header FILE of the sources of the status
# page in DIR: style and scripts are put together, each is one element of the
# page, and the policy (CSP) allows these two by their hashes and nothing else.
#
# In the documents, {{css}}, {{script}} and {{policy}} stand for what is made
# here.  Any other {{mark}} is for the server: a document becomes pieces of
# text, each with the mark that follows it (src/show/page.h).
use strict;
use warnings;
use Digest::SHA qw(sha256 sha256_hex);
use MIME::Base64 qw(encode_base64);

# In the order in which they use each other: they are one script.
my @SCRIPTS = qw(words dom series charts heatmap tables save page);
my @DOCUMENTS = qw(page sentence);

my ($dir, $file) = @ARGV;
die "usage: make-page.pl DIR FILE\n" if @ARGV != 2;

sub slurp {
    my ($name) = @_;
    open my $fh, '<:raw', "$dir/$name" or die "$dir/$name: $!\n";
    my $text = do { local $/; <$fh> };
    die "$dir/$name: a carriage return, which browsers take out\n"
        if $text =~ /\r/;
    return $text;
}

# What is for those who read the sources does not go to the browser.
sub lean {
    my ($text) = @_;
    $text =~ s{^\s*//.*\n}{}mg;
    $text =~ s/^[ \t]+//mg;
    return $text =~ s/\n{2,}/\n/gr;
}

# Its licence wants to be in all copies.
sub uplot {
    my $licence = slurp('uplot/LICENSE');
    return "/*! uPlot: $licence*/\n" . slurp('uplot/uPlot.iife.min.js');
}

sub hash {
    my ($text) = @_;
    return "'sha256-" . encode_base64(sha256($text), '') . "'";
}

sub c_string {
    my ($text) = @_;
    my @lines = map {
        s/([\\"])/\\$1/gr =~ s/\n/\\n/gr
            =~ s/([^\x20-\x7e])/sprintf '\\%03o', ord $1/gre
            =~ s/\?(?=\?)/?""/gr
    } $text =~ /([^\n]{1,1000}\n?|\n)/g;
    return join "\n", map { qq(    "$_") } @lines ? @lines : '';
}

my %made = (css => slurp('uplot/uPlot.min.css') . "\n" . lean(slurp('page.css')));
$made{script} = uplot() . "\n(function () {\n'use strict';\n"
    . join('', map { lean(slurp("$_.js")) } @SCRIPTS) . "})();\n";
for (qw(css script)) {
    die "the $_ would end its element\n" if $made{$_} =~ m{</(?:script|style)|<!--}i;
}
my $policy = "default-src 'none'; script-src " . hash($made{script})
    . '; style-src ' . hash($made{css}) . "; connect-src 'self'; img-src data:; "
    . "base-uri 'none'; form-action 'none'";
# In a document frame-ancestors is not heeded, and browsers say so.
$made{policy} = qq(<meta http-equiv="Content-Security-Policy" content="$policy">\n);

my ($pieces, $all) = ('', '');
for my $document (@DOCUMENTS) {
    my $text = slurp("$document.html") =~ s/\{\{(css|script|policy)\}\}/$made{$1}/gr;
    $all .= $text;
    my @parts = split /\{\{(\w+)\}\}/, $text;
    $pieces .= "static const imx_page_piece_t ${document}_pieces[] = {\n";
    while (@parts) {
        my ($piece, $mark) = splice @parts, 0, 2;
        $pieces .= '{ ' . c_string($piece) . ",\n    " . length($piece) . ', IMX_PAGE_'
            . uc($mark // 'end') . " },\n";
    }
    $pieces .= "};\n";
}

open my $out, '>:raw', "$file.new" or die "$file.new: $!\n";
print {$out} "/* Made by tools/make-page.pl: the sources are in src/show/page. */\n",
    '#define IMX_PAGE_POLICY "', "$policy; frame-ancestors 'self'\"\n",
    '#define IMX_PAGE_TAG "', substr(sha256_hex($all), 0, 20), "\"\n", $pieces;
close $out or die "$file.new: $!\n";
rename "$file.new", $file or die "$file: $!\n";

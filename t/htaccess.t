# The status page answers where SetHandler in httpd's configuration says so, and
# nobody who may write .htaccess files can switch it on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxTest;
use Test::More;

my $h = httpd(module => 1, influx => 'http://127.0.0.1:9', modules =>
    [qw(rewrite alias)], children => 1, conf => sub {
    my $dir = $_[0]->dir;
    return <<"CONF";
<Directory $dir/htdocs>
AllowOverride FileInfo
Options +FollowSymLinks
</Directory>
<Directory $dir/htdocs/open>
SetHandler influx-metrics
</Directory>
<Location /page>
SetHandler Influx-Metrics
</Location>
<Location /page/not>
SetHandler default-handler
</Location>
<Files figures.html>
SetHandler influx-metrics
</Files>
<If "%{REQUEST_URI} =~ m#^/yes#">
SetHandler influx-metrics
</If>
<Location /off>
InfluxMetrics Off
</Location>
CONF
});
$h->put("htdocs/$_", 'a file') for 'figures.html', 'sub/figures.html',
    'open/x.html';

for my $path ('/page', '/page/more', '/figures.html', '/sub/figures.html',
    '/yes', '/open/x.html') {
    my $r = get($h->url("$path?json"));
    is($r->{status}, 200, "$path: the configuration says SetHandler");
    like($r->{content}, qr/points_recorded/, "$path: the page");
}
unlike(get($h->url('/page/not'))->{content}, qr/points_recorded/,
    'another handler further in');

# What a customer of this host could try.
my %try = (
    'set' => 'SetHandler influx-metrics',
    'expression' => 'SetHandler "%{env:NOTHING}influx-metrics"',
    'files' => "<Files *>\nSetHandler influx-metrics\n</Files>",
    'if' => "<If \"true\">\nSetHandler influx-metrics\n</If>",
    'add' => 'AddHandler influx-metrics .html',
    'rewrite' => "RewriteEngine On\nRewriteRule .* - [H=influx-metrics]",
    'open/below' => 'SetHandler influx-metrics',
);
for my $name (sort keys %try) {
    $h->put("htdocs/$name/.htaccess", "$try{$name}\n");
    $h->put("htdocs/$name/index.html", 'a file');
    my $r = get($h->url("/$name/index.html?json"));
    if ($name =~ /open/) {
        is($r->{status}, 200, "$name: below a place that has the page");
        next;
    }
    is($r->{status}, 403, ".htaccess, $name: refused");
    unlike($r->{content}, qr/points_/, "$name: no figure is shown");
}
is(scalar(grep { /IMX0061: the handler influx-metrics was asked for at \// }
    $h->error_log), 1, 'the log says so once');

# Other handlers are the core's business as ever.
$h->put('htdocs/other/.htaccess', "SetHandler default-handler\n");
$h->put('htdocs/other/index.html', 'a file');
is(get($h->url('/other/index.html'))->{content}, 'a file',
    'SetHandler for others works in .htaccess');

# What docs/shared-hosting.md says: who can lead a request to a place where
# InfluxMetrics is Off has it counted nowhere, as that place answers.
sub counted {
    my ($n) = get($h->url('/page?json'))->{content}
        =~ /"requests_counted"\s*:\s*(\d+)/;
    return $n;
}

$h->put('htdocs/off/x.html', 'of a place with Off');
$h->put('htdocs/led/index.html', 'a file');
$h->put('htdocs/led/.htaccess', "ErrorDocument 404 /off/x.html\n"
    . "RewriteEngine On\nRewriteRule ^away\$ /off/x.html\n");
my $before = counted();
for my $path ('missing', 'away') {
    is(get($h->url("/led/$path"))->{content}, 'of a place with Off',
        "$path: led there by .htaccess");
}
get($h->url('/led/index.html'));
ok(wait_until(10, sub { counted() > $before }), 'the one that was not is counted');
is(counted(), $before + 1, '... alone');

finish();

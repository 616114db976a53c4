# A body that is read before the handler is called, by authentication, by an
# access checker or by who looks for attacks, is measured as one that the handler
# reads: the wait for it is input_time and not server_time, its bytes are
# counted, and a client that leaves in the middle has aborted; also over HTTP/2,
# and when the reader refuses the request in the end.
use strict;
use warnings;
use Digest::SHA qw(sha1_base64);
use FindBin;
use lib "$FindBin::Bin/lib";
use ImxH2;
use ImxTest;
use Test::More;

setpriority 0, 0, -10 if !$>;   # as in phases.t

my $db = influxd();
my $pause;                      # s, in the body
my $tries = 6;
my $near;                       # s, what else may happen in a phase
my $body = 'httpd_username=somebody&httpd_password=secret&more=';
$body .= 'x' x (2000 - length $body);

my $lua = <<'LUA';
require 'apache2'
function check(r)
    r:requestbody()
    if (r.args or ''):match('deny=1') then return 403 end
    return apache2.DECLINED
end
LUA

my $perl = <<'PERL';
package ImxCheck;
use Apache2::RequestRec ();
use Apache2::RequestIO ();
use Apache2::Const -compile => qw(OK FORBIDDEN);
sub handler {
    my ($r) = @_;
    my $buffer;
    1 while eval { $r->read($buffer, 8192) };
    return ($r->args // '') =~ /deny=1/ ? Apache2::Const::FORBIDDEN
        : Apache2::Const::OK;
}
1;
PERL

# Who reads: what httpd loads for it, and its configuration.
my %reader = (
    mod_auth_form => { modules => [qw(request session session_cookie
        authn_core authn_file authz_user auth_form)], conf => <<'CONF' },
<Location /mod_auth_form>
AuthType form
AuthName imx
AuthFormProvider file
AuthUserFile DIR/users
Session On
SessionCookieName session path=/
Require valid-user
</Location>
CONF
    mod_lua => { modules => ['lua'], can_deny => 1, conf => <<'CONF' },
LuaScope thread
<Location /mod_lua>
LuaHookAccessChecker DIR/check.lua check
</Location>
CONF
    mod_perl => { modules => ['perl'], can_deny => 1, conf => <<'CONF' },
PerlRequire DIR/check.pl
<Location /mod_perl>
PerlAccessHandler ImxCheck
</Location>
CONF
    mod_security2 => { modules => [qw(unique_id security2)], can_deny => 1,
        conf => <<'CONF' },
SecRuleEngine On
SecRequestBodyAccess On
SecTmpDir DIR/run
SecDataDir DIR/run
SecRule ARGS_GET:deny "@streq 1" "id:1,phase:2,deny,status:403"
CONF
);

my $serial = 0;

sub server {
    my ($name) = @_;
    my $r = $reader{$name};
    my $database = 'early' . ++$serial;
    my $h = httpd(module => 1, influx => $db, children => 1, threads => 16,
        modules => [qw(alias http2), @{ $r->{modules} }], start => 0,
        conf => sub {
            my ($dir, $text) = ($_[0]->dir, $r->{conf});
            $text =~ s/\bDIR\b/$dir/g;
            return <<"CONF";
InfluxMetricsDatabase $database
InfluxMetricsInterval 100ms
InfluxMetricsFields +server_time +input_time +output_time +bytes_received
InfluxMetricsFields +aborted +query
Protocols h2c http/1.1
Alias /$name $dir/htdocs
$text
CONF
        });
    $h->put('check.lua', $lua);
    $h->put('check.pl', $perl);
    $h->put('users', 'somebody:{SHA}' . sha1_base64('secret') . "=\n");
    chmod 0777, $h->dir . '/run';
    return ($h->start, $database);
}

sub http1 {
    my ($h, $path, $leaves) = @_;
    my $head = "POST $path HTTP/1.1\r\nHost: imx.test\r\nConnection: close\r\n"
        . "Content-Type: application/x-www-form-urlencoded\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n";
    my $half = length($head) + 1000;
    raw($h->port, $leaves ? substr($head . $body, 0, $half) : $head . $body,
        pause => [$half, $pause], paused => \my $paused, read => !$leaves);
    return $paused;
}

sub http2 {
    my ($h, $path, $leaves) = @_;
    my $c = ImxH2->new($h->port);
    # mod_lua does not read a body of no length.
    my $id = $c->request('POST', $path,
        { 'content-type' => 'application/x-www-form-urlencoded',
            $path =~ /mod_lua/ ? ('content-length' => length $body) : () },
        open => 1);
    $c->data($id, substr $body, 0, 1000);
    my $paused = nap($pause);
    if ($leaves) {
        $c->cancel($id);
    }
    else {
        $c->data($id, substr($body, 1000), end => 1);
    }
    $c->wait($id, 10);
    $c->leave;
    return $paused;
}

sub point {
    my ($database, $id) = @_;
    my @rows;
    wait_until(10, sub {
        @rows = grep { ($_->{query} // '') =~ /\bid=$id\b/ }
            eval { $db->query('SELECT * FROM "raw-requests"', $database) };
    });
    is(scalar @rows, 1, 'one point') or return {};
    return $rows[0];
}

sub show {
    my ($p) = @_;
    return join ' ', map { "$_=$p->{$_}" }
        grep { defined $p->{$_} } sort keys %$p;
}

# When a stream is taken back mod_http2 ends its body first, and has the answer if
# the thread that makes it is faster than the one that goes on: then httpd knows
# of nothing.
#
# What took too long is tried again, with a longer pause: this machine has other
# work, which does not grow with it.
sub measured {
    my ($h, $database, $name, $client, $words, $leaves) = @_;
    my ($p, $paused);
    for my $try (0 .. $tries - 1) {
        my $id = ++$serial;
        $pause = 0.3 * 1.5 ** $try;
        $near = $pause / 3;
        $paused = $client->($h, "/$name/index.html?id=$id$words", $leaves);
        $p = point($database, $id);
        last if !$leaves == !$p->{aborted}
            && ($p->{server_time} // 9) < $near
            && ($p->{application_time} // 0) < $near
            && abs(($p->{input_time} // 9) - $paused) < $pause / 15;
    }
    cmp_ok($p->{input_time} // -1, '>', $paused - $pause / 15,
        'input_time has the wait') or diag show($p);
    cmp_ok($p->{input_time} // 9, '<', $paused + $near, '... and not more');
    cmp_ok($p->{server_time} // 9, '<', $near, 'server_time has not')
        or diag show($p);
    cmp_ok($p->{application_time} // 0, '<', $near, 'nor application_time');
    my $sum = 0;
    $sum += $p->{$_} // 0 for qw(server_time application_time input_time
        output_time);
    cmp_ok(abs($sum - ($p->{request_time} // 9)), '<', 6e-6,
        'the phases add up') or diag show($p);
    return $p;
}

sub whole_body {
    my ($h, $database, $name, $client) = @_;
    my $p = measured($h, $database, $name, $client, '', 0);
    is($p->{status}, 200, 'status');
    is($p->{bytes_received}, length $body, 'bytes_received');
    ok(!$p->{aborted}, 'not aborted');
}

sub denied {
    my ($h, $database, $name, $client) = @_;
    my $p = measured($h, $database, $name, $client, '&deny=1', 0);
    is($p->{status}, 403, 'status');
    is($p->{bytes_received}, length $body, 'bytes_received');
    ok(!$p->{aborted}, 'not aborted');
    ok(!defined $p->{application_time}, 'no handler was called');
}

sub half_a_body {
    my ($h, $database, $name, $client) = @_;
    my $p = measured($h, $database, $name, $client, '', 1);
    is($p->{bytes_received}, 1000, 'bytes_received');
    ok($p->{aborted}, 'aborted') or diag show($p);
}

for my $name (sort keys %reader) {
    my $module = ImxTest::Httpd::_place()->{modules} . '/mod_'
        . $reader{$name}{modules}[-1] . '.so';
    SKIP: {
        -e $module or skip "$name is not installed: a body that it reads was "
            . 'not tried', 1;
        subtest $name => sub {
            my ($h, $database) = server($name);
            my %client = ('HTTP/1' => \&http1, 'HTTP/2' => \&http2);
            for my $way (sort keys %client) {
                my @with = ($h, $database, $name, $client{$way});
                subtest "$way: the whole body" => sub { whole_body(@with) };
                subtest "$way: and refused" => sub { denied(@with) }
                    if $reader{$name}{can_deny};
                subtest "$way: half a body" => sub { half_a_body(@with) };
            }
            is_deeply([grep { /exit signal/ } $h->error_log], [], 'no crash');
        };
    }
}

finish();

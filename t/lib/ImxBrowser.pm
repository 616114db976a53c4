package ImxBrowser;
#
# A headless Chromium of our own, and its pages, over the DevTools protocol on a
# pipe: no port, no other library.
#
#   use ImxBrowser;
#
#   my $browser = ImxBrowser->new;       # dies without Chromium: see program()
#   my $page = $browser->page(width => 1280, height => 900,
#                  dark => 1, calm => 1, script => 0);     # 0: JavaScript off
#   $page->go($url);                     # returns when it is loaded
#   $page->eval('document.title');       # promises are waited for
#   $page->until(20, 'x === 1');         # polls; false after the limit
#   $page->messages;                     # of the console, also errors
#   $page->requests;                     # URLs that were asked for
#   $page->picture('file.png');          # of the whole page
#   $page->call('Page.reload', {...});   # anything of the protocol
#   $page->settings(dark => 0);          # changes what page() was given
#   $page->close;
#
use strict;
use warnings;
use Fcntl qw(F_DUPFD);
use JSON::PP ();
use MIME::Base64 ();
use POSIX ();
use Time::HiRes qw(time);
use parent -norequire, 'ImxTest::Process';
use ImxTest;

my $json = JSON::PP->new->utf8->allow_nonref;

sub program { return which_one(qw(chromium chromium-browser google-chrome)) }

sub new {
    my ($class) = @_;
    my $program = program() or die "there is no Chromium\n";
    my $dir = work_dir() . '/chromium' . int rand 1e9;
    mkdir $dir or die "$dir: $!";
    # Its ends of the pipes become its descriptors 3 and 4.
    pipe my $its_in, my $our_out or die "pipe: $!";
    pipe my $our_in, my $its_out or die "pipe: $!";
    binmode $_ for $our_in, $our_out;
    my $self = bless { in => $our_in, out => $our_out, buffer => '',
        serial => 0, answers => {}, pages => {}, dir => $dir }, $class;
    # root has no sandbox; the shared memory of a container may be small.
    my @command = ($program, qw(--headless=new --no-sandbox --disable-gpu
        --disable-dev-shm-usage --no-first-run --disable-extensions
        --disable-background-networking --disable-component-update
        --disable-sync --hide-scrollbars --force-device-scale-factor=1
        --remote-debugging-pipe), "--user-data-dir=$dir", 'about:blank');
    $self->{pid} = fork // die "fork: $!";
    if ($self->{pid} == 0) {
        POSIX::setsid();
        my ($in, $out) = map { fcntl $_, F_DUPFD, 10 } $its_in, $its_out;
        POSIX::dup2($in, 3);
        POSIX::dup2($out, 4);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        POSIX::close($_) for 5 .. 63;
        exec @command or POSIX::_exit(127);
    }
    close $_ for $its_in, $its_out;
    return $self->_ours;
}

# Chromium's other processes are of its process group.
sub _end {
    my ($self) = @_;
    my $pid = $self->{pid} or return;
    kill KILL => -$pid;
    $self->SUPER::_end;
}

sub page {
    my ($self, %settings) = @_;
    my $target = $self->_call(undef, 'Target.createTarget',
        { url => 'about:blank' })->{targetId};
    my $session = $self->_call(undef, 'Target.attachToTarget',
        { targetId => $target, flatten => JSON::PP::true() })->{sessionId};
    my $page = bless { browser => $self, target => $target,
        session => $session, messages => [], requests => [], loaded => 0,
        width => 1280, height => 900, dark => 0, calm => 0, script => 1 },
        'ImxBrowser::Page';
    $self->{pages}{$session} = $page;
    $page->call($_) for qw(Page.enable Runtime.enable Log.enable
        Network.enable);
    $page->settings(%settings);
    return $page;
}

sub _call {
    my ($self, $session, $method, $parameters) = @_;
    my $id = ++$self->{serial};
    my %message = (id => $id, method => $method, params => $parameters // {});
    $message{sessionId} = $session if defined $session;
    my $text = $json->encode(\%message) . "\0";
    while (length $text) {
        my $n = syswrite $self->{out}, $text;
        die "Chromium is gone\n" if !$n;
        substr $text, 0, $n, '';
    }
    my $end = time + 30 * slow();
    while (!$self->{answers}{$id}) {
        $self->_read(1);
        die "Chromium does not answer to $method\n" if time > $end;
    }
    my $answer = delete $self->{answers}{$id};
    die "$method: $answer->{error}{message}\n" if $answer->{error};
    return $answer->{result};
}

# Takes what has come, and waits at most so many seconds for it.
sub _read {
    my ($self, $seconds) = @_;
    vec(my $set = '', fileno $self->{in}, 1) = 1;
    return if select($set, undef, undef, $seconds) < 1;
    my $n = sysread $self->{in}, $self->{buffer}, 1 << 20,
        length $self->{buffer};
    die "Chromium is gone: " . slurp("$self->{dir}/log") . "\n" if !$n;
    while ($self->{buffer} =~ s/^([^\0]*)\0//) {
        my $message = $json->decode($1);
        if (defined $message->{id}) {
            $self->{answers}{ $message->{id} } = $message;
        }
        elsif (my $page = $self->{pages}{ $message->{sessionId} // '' }) {
            $page->_event($message->{method}, $message->{params});
        }
    }
}

package ImxBrowser::Page;
use Time::HiRes qw(time);
use ImxTest;

sub call {
    my ($self, $method, $parameters) = @_;
    return $self->{browser}->_call($self->{session}, $method, $parameters);
}

sub _event {
    my ($self, $name, $p) = @_;
    if ($name eq 'Runtime.consoleAPICalled') {
        push @{ $self->{messages} }, join ' ', $p->{type},
            map { $_->{value} // $_->{description} // '' } @{ $p->{args} };
    }
    elsif ($name eq 'Runtime.exceptionThrown') {
        my $d = $p->{exceptionDetails};
        push @{ $self->{messages} }, 'exception '
            . ($d->{exception}{description} // $d->{text});
    }
    elsif ($name eq 'Log.entryAdded') {
        push @{ $self->{messages} }, "$p->{entry}{level} $p->{entry}{text}";
    }
    elsif ($name eq 'Network.requestWillBeSent') {
        push @{ $self->{requests} }, $p->{request}{url};
    }
    elsif ($name eq 'Page.loadEventFired') {
        $self->{loaded}++;
    }
}

sub settings {
    my ($self, %change) = @_;
    @$self{ keys %change } = values %change;
    $self->call('Emulation.setDeviceMetricsOverride', {
        width => 0 + $self->{width}, height => 0 + $self->{height},
        deviceScaleFactor => 1, mobile => JSON::PP::false() });
    $self->call('Emulation.setEmulatedMedia', { features => [
        { name => 'prefers-color-scheme',
            value => $self->{dark} ? 'dark' : 'light' },
        { name => 'prefers-reduced-motion',
            value => $self->{calm} ? 'reduce' : 'no-preference' } ] });
    $self->call('Emulation.setScriptExecutionDisabled',
        { value => $self->{script} ? JSON::PP::false() : JSON::PP::true() });
}

sub go {
    my ($self, $url) = @_;
    my $before = $self->{loaded};
    my $answer = $self->call('Page.navigate', { url => $url });
    die "$url: $answer->{errorText}\n" if $answer->{errorText};
    # Another fragment of the same page is no load.
    return if !$answer->{loaderId};
    $self->_wait_loaded($before);
}

sub reload {
    my ($self) = @_;
    my $before = $self->{loaded};
    $self->call('Page.reload');
    $self->_wait_loaded($before);
}

sub _wait_loaded {
    my ($self, $before) = @_;
    wait_until(30, sub {
        $self->{browser}->_read(0.2);
        return $self->{loaded} > $before;
    }) or die "the page is not loaded\n";
}

sub eval {
    my ($self, $code) = @_;
    my $answer = $self->call('Runtime.evaluate', { expression => $code,
        awaitPromise => JSON::PP::true(), returnByValue => JSON::PP::true() });
    my $failed = $answer->{exceptionDetails};
    die "$code: " . ($failed->{exception}{description} // $failed->{text})
        . "\n" if $failed;
    return $answer->{result}{value};
}

sub until {
    my ($self, $seconds, $code) = @_;
    return wait_until($seconds, sub { $self->eval($code) });
}

# Also what came just now.
sub messages {
    my ($self) = @_;
    $self->call('Runtime.evaluate', { expression => '0' });
    return @{ $self->{messages} };
}

sub requests { return @{ $_[0]{requests} } }

sub picture {
    my ($self, $file) = @_;
    my $size = $self->call('Page.getLayoutMetrics')->{cssContentSize};
    my $data = $self->call('Page.captureScreenshot', { format => 'png',
        captureBeyondViewport => JSON::PP::true(), clip => { x => 0, y => 0,
            width => 0 + $self->{width}, height => $size->{height},
            scale => 1 } })->{data};
    return spew($file, MIME::Base64::decode_base64($data));
}

sub close {
    my ($self) = @_;
    delete $self->{browser}{pages}{ $self->{session} };
    $self->{browser}->_call(undef, 'Target.closeTarget',
        { targetId => $self->{target} });
}

1;

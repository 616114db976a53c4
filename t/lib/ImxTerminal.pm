package ImxTerminal;
#
# influx-metrics-top: what it prints, and what it draws in a terminal of a size.
#
#   use ImxTest; use ImxTerminal;
#
#   my ($status, $text) = top_once($url, @flags);     # --once; bytes
#   my ($status, $text) = top_runs(\%env, @arguments); # whatever it is
#   my $t = ImxTerminal->new(columns => 80, rows => 24, env => {...},
#       arguments => [$url]);
#   $t->until(10, qr/req/);        # the screen comes to match; its text
#   $t->screen; $t->lines;         # now
#   $t->keys("/abc\r"); $t->size(132, 50); $t->signal('TERM');
#   $t->raw;                       # all bytes that the terminal got
#   $t->title;                     # that a program has given to the window
#   $t->styles;                    # of each line, of each column: colour, bold,
#                                  # underlined, reversed
#   $t->status;                    # its exit status, undef while it runs
#
# A real pty, with pyte (Debian: python3-pyte) for the screen: has_terminal().
#
use strict;
use warnings;
use Encode qw(decode);
use Exporter qw(import);
use IPC::Open2 qw(open2);
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use POSIX ();
use parent -norequire, 'ImxTest::Process';
use ImxTest qw(wait_until);

our @EXPORT = qw(top_once top_runs has_terminal);

my $python = '/usr/bin/python3';
my $json = JSON::PP->new->utf8;

sub program { return ImxTest::top() . '/top/influx-metrics-top' }

sub has_terminal { return system("$python -c 'import pyte' 2>/dev/null") == 0 }

sub top_runs {
    my ($env, @arguments) = @_;
    local @ENV{ 'LC_ALL', keys %$env } = ('C.UTF-8', values %$env);
    my $pid = open my $from, '-|' // die "fork: $!";
    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec $python, program(), @arguments or POSIX::_exit(127);
    }
    my $text = do { local $/; readline $from };
    close $from;
    return ($? >> 8, $text // '');
}

sub top_once { return top_runs({}, '--once', '--timeout', 20, @_) }

sub new {
    my ($class, %o) = @_;
    my $self = bless { columns => 80, rows => 24, %o }, $class;
    my %env = (TERM => 'linux', LC_ALL => 'C.UTF-8', %{ $o{env} // {} });
    local @ENV{ keys %env } = values %env;
    $self->{pid} = open2($self->{from}, $self->{to}, $python,
        ImxTest::top() . '/t/lib/terminal.py', $self->{columns}, $self->{rows},
        $python, program(), @{ $self->{arguments} });
    return $self->_ours;
}

sub _order {
    my ($self, %order) = @_;
    my $to = $self->{to};
    print {$to} $json->encode(\%order), "\n";
    $to->flush;
    my $answer = readline $self->{from} // die "the terminal is gone\n";
    return $json->decode($answer);
}

sub keys { return $_[0]->_order(keys => encode_base64($_[1], '')) }
sub size { return $_[0]->_order(size => [$_[1] + 0, $_[2] + 0]) }
sub lines { return @{ $_[0]->_order->{lines} } }
sub screen { return join "\n", $_[0]->lines }
sub raw { return decode_base64($_[0]->_order(raw => 1)->{raw}) }
sub styles { return @{ $_[0]->_order(styles => 1)->{styles} } }
sub status { return $_[0]->_order->{status} }
sub title { return $_[0]->_order->{title} }

my %number = (INT => 2, TERM => 15, HUP => 1);
sub signal { return $_[0]->_order(signal => $number{ $_[1] }) }

sub until {
    my ($self, $seconds, $what) = @_;
    my $screen;
    my $found = wait_until($seconds, sub { ($screen = $self->screen) =~ $what });
    return $found ? $screen : undef;
}

sub _end {
    my ($self) = @_;
    close $self->{to};
    $self->SUPER::_end;
}

1;

# ImxBare.pm: ImxTest's httpd without the access log that the tests read: a
# benchmark measures what it names, and nothing beside it.
package ImxBare;

use strict;
use warnings;
use ImxTest;

our @ISA = ('ImxTest::Httpd');

sub _conf {
    return $_[0]->SUPER::_conf =~ s/^(?:CustomLog|LogFormat) .* imx\n//mgr;
}

1;

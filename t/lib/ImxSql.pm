package ImxSql;
#
# SQL engines for rows that were read back from a database: SQLite, which Python
# brings, and DataFusion, which is what InfluxDB 3 has, where Python has it.
#
#   use ImxSql;
#
#   my @names = ImxSql::engines();       # 'DataFusion', 'SQLite'
#   my @n = ImxSql::ask($engine, 'request-buckets', \@rows, @queries);
#                                        # the one value that each query has
#
use strict;
use warnings;
use IPC::Open2;
use JSON::PP ();
use ImxTest;

my $program = <<'PYTHON';
import json, sys
asked = json.load(sys.stdin)
rows = asked['rows']
names = sorted(rows[0]) if rows else []
def sqlite():
    import sqlite3
    db = sqlite3.connect(':memory:')
    quoted = ', '.join('"%s"' % n for n in names)
    db.execute('CREATE TABLE "%s" (%s)' % (asked['table'], quoted))
    db.executemany('INSERT INTO "%s" VALUES (%s)' % (asked['table'],
        ', '.join('?' * len(names))), [[r[n] for n in names] for r in rows])
    return lambda q: db.execute(q).fetchone()[0]
def datafusion():
    import datafusion
    c = datafusion.SessionContext()
    c.from_pydict({n: [r[n] for r in rows] for n in names}, asked['table'])
    def ask(q):
        columns = c.sql(q).to_pydict()
        return list(columns.values())[0][0]
    return ask
ask = datafusion() if asked['engine'] == 'DataFusion' else sqlite()
print(json.dumps([ask(q) for q in asked['queries']]))
PYTHON

sub engines {
    my $python = which_one('python3') or return;
    my %module = (DataFusion => 'datafusion', SQLite => 'sqlite3');
    return grep {
        !system "$python -c 'import $module{$_}' >/dev/null 2>&1"
    } sort keys %module;
}

sub ask {
    my ($engine, $table, $rows, @queries) = @_;
    my $file = spew(work_dir() . '/ask.py', $program);
    my $pid = open2(my $out, my $in, which_one('python3'), $file);
    print {$in} JSON::PP::encode_json({ engine => $engine, table => $table,
        rows => $rows, queries => \@queries });
    close $in;
    my $said = do { local $/; <$out> };
    waitpid $pid, 0;
    die "$engine said nothing\n" if $?;
    return @{ JSON::PP::decode_json($said) };
}

1;

package ImxSql;
#
# SQL engines for rows that were read back from a database: SQLite, which Python
# brings, and DataFusion, which is what InfluxDB 3 has (ImxDataFusion).
#
#   use ImxSql;
#
#   my @names = ImxSql::engines();       # 'DataFusion', 'SQLite'
#   my $n = ImxSql::ask($engine, 'request-buckets', { count => 'integer' },
#       \@rows, $query);                 # the one value that the query has;
#                                        # fields and their types, others: tags
#
use strict;
use warnings;
use IPC::Open2;
use ImxDataFusion;
use ImxTest;
use JSON::PP ();

my $program = <<'PYTHON';
import json, sqlite3, sys
asked = json.load(sys.stdin)
rows = asked['rows']
names = sorted(rows[0]) if rows else []
db = sqlite3.connect(':memory:')
quoted = ', '.join('"%s"' % n for n in names)
db.execute('CREATE TABLE "%s" (%s)' % (asked['table'], quoted))
db.executemany('INSERT INTO "%s" VALUES (%s)' % (asked['table'],
    ', '.join('?' * len(names))), [[r[n] for n in names] for r in rows])
print(json.dumps(db.execute(asked['query']).fetchone()))
PYTHON

my ($datafusion) = datafusion_program();

sub engines {
    my $python = which_one('python3') or return;
    return ($datafusion ? 'DataFusion' : (),
        system("$python -c 'import sqlite3' >/dev/null 2>&1") ? () : 'SQLite');
}

sub _ask_sqlite {
    my ($table, $rows, $query) = @_;
    my $file = spew(work_dir() . '/ask.py', $program);
    my $pid = open2(my $out, my $in, which_one('python3'), $file);
    print {$in} JSON::PP::encode_json({ table => $table, rows => $rows,
        query => $query });
    close $in;
    my $said = do { local $/; <$out> };
    waitpid $pid, 0;
    die "SQLite said nothing\n" if $?;
    return JSON::PP::decode_json($said)->[0];
}

sub ask {
    my ($engine, $table, $fields, $rows, $query) = @_;
    return _ask_sqlite($table, $rows, $query) if $engine eq 'SQLite';
    my $sql = ImxDataFusion->new($datafusion);
    $sql->fill($table, $fields, @$rows);
    my ($row) = $sql->query($query);
    return (values %$row)[0];
}

1;

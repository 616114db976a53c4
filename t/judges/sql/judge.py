"""Runs SQL on Apache DataFusion, the engine in InfluxDB 3.

Each line of the standard input is JSON, and is answered by a line of JSON:
    {"table": name, "tags": [...], "fields": {name: type}, "rows": [{...}]}
    {"query": text}    -> {"rows": [...]} or {"error": text}
Tables have the types that InfluxDB 3 gives them: tags are dictionaries, time is
in nanoseconds.
"""
import json
import sys

import pyarrow
from datafusion import SessionConfig, SessionContext

TYPES = {
    "float": pyarrow.float64(),
    "integer": pyarrow.int64(),
    "string": pyarrow.string(),
    "boolean": pyarrow.bool_(),
}
TAG = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())


def value(row, name, kind):
    got = row.get(name)
    return float(got) if got is not None and kind == "float" else got


def load(context, message):
    rows = message["rows"]
    columns = {name: (TAG, None) for name in message["tags"]}
    for name, kind in message["fields"].items():
        columns[name] = (TYPES[kind], kind)
    arrays = [pyarrow.array([value(row, name, kind) for row in rows])
              .cast(arrow) for name, (arrow, kind) in columns.items()]
    times = pyarrow.array([row["time"] for row in rows], pyarrow.int64())
    arrays.append(times.cast(pyarrow.timestamp("ns")))
    batch = pyarrow.RecordBatch.from_arrays(arrays, [*columns, "time"])
    context.register_record_batches(message["table"], [[batch]])
    return {"rows": []}


def rows_of(batch):
    """Times as integers: Python's own have no nanoseconds."""
    columns = [column.cast(pyarrow.timestamp("ns")).cast(pyarrow.int64())
               if pyarrow.types.is_timestamp(column.type) else column
               for column in batch.columns]
    return pyarrow.RecordBatch.from_arrays(
        columns, batch.schema.names).to_pylist()


def ask(context, message):
    batches = context.sql(message["query"]).collect()
    return {"rows": [row for batch in batches for row in rows_of(batch)]}


def main():
    context = SessionContext(SessionConfig().with_information_schema(True))
    for line in sys.stdin:
        message = json.loads(line)
        try:
            answer = (load if "table" in message else ask)(context, message)
        except BaseException as e:  # what DataFusion throws is not one class
            answer = {"error": f"{type(e).__name__}: {e}"}
        print(json.dumps(answer, default=str), flush=True)


main()

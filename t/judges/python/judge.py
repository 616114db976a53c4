"""Reads an exposition on stdin with Prometheus' own parsers for Python: with
`openmetrics' the strict one, else that of the older text form.  Prints a line
of JSON for each sample: name, labels, value, type of its family, exemplar.
What the parser refuses ends it with 1 and a sentence on stderr."""
import json
import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics


def main():
    strict = sys.argv[1:] == ["openmetrics"]
    # Not universal newlines: a label may have a carriage return in it.
    text = sys.stdin.buffer.read().decode("utf-8")
    read = (openmetrics if strict else parser).text_string_to_metric_families
    for family in read(text):
        for sample in family.samples:
            exemplar = sample.exemplar
            print(json.dumps({
                "name": sample.name,
                "labels": sample.labels,
                "value": sample.value,
                "family": family.name,
                "type": family.type,
                "help": family.documentation,
                "unit": family.unit,
                "exemplar": exemplar and {
                    "labels": exemplar.labels,
                    "value": exemplar.value,
                    "time": float(exemplar.timestamp),
                },
            }))


try:
    main()
except ValueError as error:
    sys.exit("refused: %s" % error)

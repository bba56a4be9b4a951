"""A naive export: a cursor, and the csv or the json module."""

import csv
import json
from collections.abc import Iterator
from typing import TextIO

from pymongo.database import Database

from locapi.storage.documents import MINUTES, Document

COLUMNS = ("user_id", "minute", "lat", "long", "accuracy", "speed", "count")


def _rows(database: Database[Document]) -> Iterator[Document]:
    for minute in database[MINUTES].find({}, {"_id": 0, **dict.fromkeys(COLUMNS, 1)}).sort("_id"):
        minute["minute"] = minute["minute"].strftime("%Y-%m-%dT%H:%M:%SZ")
        yield minute


def write_csv(database: Database[Document], out: TextIO) -> None:
    """Write a header and a line each minute."""
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in _rows(database):
        writer.writerow(row)


def write_ndjson(database: Database[Document], out: TextIO) -> None:
    """Write one JSON object a line."""
    for row in _rows(database):
        out.write(json.dumps({name: row[name] for name in COLUMNS}) + "\n")


WRITERS = {"csv": write_csv, "ndjson": write_ndjson}

"""NDJSON: a JSON object for each minute, one a line."""

from typing import TextIO

import orjson

from locapi.exporters.query import LOCAL_TIME, Minutes
from locapi.fixes import ids
from locapi.storage.documents import Document


def write(minutes: Minutes, out: TextIO) -> None:
    """Write NDJSON; each number is the shortest that reads back the same.

    Of what changed, the first objects are the erased users: `{"user_id": …, "erased": true}`.
    """
    if minutes.erased:
        rows = [{"user_id": user_id, "erased": True} for user_id in minutes.erased]
        out.write(json_lines(rows) + "\n")
    row = _local_row if LOCAL_TIME in minutes.columns else _row
    for page in minutes.pages:
        out.write(json_lines([row(minute) for minute in page]) + "\n")


def _row(minute: Document) -> Document:
    # Spelled out, as a loop over the columns takes half as long again.
    user_id, time = ids.split_minute_id(minute["_id"])
    return {
        "user_id": user_id,
        "minute": time,
        "lat": minute["lat"],
        "long": minute["long"],
        "accuracy": minute["accuracy"],
        "speed": minute["speed"],
        "count": minute["count"],
    }


def _local_row(minute: Document) -> Document:
    return {**_row(minute), LOCAL_TIME: minute[LOCAL_TIME]}


def json_lines(rows: list[Document]) -> str:
    """Return objects that begin with `user_id` as JSON, one a line."""
    array = orjson.dumps(rows)[1:-1].decode()
    # Quotes within values are escaped, so this text occurs only between two objects.
    return array.replace('},{"user_id":', '}\n{"user_id":')

"""CSV and NDJSON: a line each minute, numbers in a short form that reads back the same."""

from operator import itemgetter
from typing import TextIO

import orjson

from locapi.export import LOCAL_TIME, Minutes
from locapi.mongo import Document


def write_csv(minutes: Minutes, out: TextIO) -> None:
    """Write a header and a line each minute."""
    out.write(",".join(minutes.columns) + "\n")
    values = itemgetter(*minutes.columns[2:])
    for page in minutes.pages:
        # Only numbers and times are between these brackets, so the text can be cut at them.
        array = orjson.dumps([values(minute) for minute in page]).decode()[2:-2].replace('"', "")
        lines = zip(page, array.split("],["), strict=True)
        out.write("".join([f"{_csv_key(minute['_id'])},{row}\n" for minute, row in lines]))


def _csv_key(minute_id: str) -> str:
    user_id, time = minute_id.split("\t")
    if "," in user_id or '"' in user_id:  # there are no line ends in it
        user_id = '"' + user_id.replace('"', '""') + '"'
    return f"{user_id},{time}:00Z"


def write_ndjson(minutes: Minutes, out: TextIO) -> None:
    """Write one JSON object a line."""
    row = _local_row if LOCAL_TIME in minutes.columns else _row
    for page in minutes.pages:
        array = orjson.dumps([row(minute) for minute in page])[1:-1].decode()
        # A quote within a value is escaped, so only between two objects can this be.
        out.write(array.replace('},{"user_id":', '}\n{"user_id":') + "\n")


def _row(minute: Document) -> Document:
    user_id, time = minute["_id"].split("\t")
    return {
        "user_id": user_id,
        "minute": f"{time}:00Z",
        "lat": minute["lat"],
        "long": minute["long"],
        "accuracy": minute["accuracy"],
        "speed": minute["speed"],
        "count": minute["count"],
    }


def _local_row(minute: Document) -> Document:
    return {**_row(minute), LOCAL_TIME: minute[LOCAL_TIME]}

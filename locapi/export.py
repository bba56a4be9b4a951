"""Stream minutes out, sorted by user and then minute, in memory that does not grow."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

from pymongo.database import Database

from locapi import keys, mongo
from locapi.mongo import MINUTES, Document

COLUMNS = ("user_id", "minute", "lat", "long", "accuracy", "speed", "count")
_PAGE = 5_000

Row = Mapping[str, Any]


def read_minutes(
    database: Database[Document],
    user_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Row]:
    """Yield the minutes of `[since, until)` with `COLUMNS`, `minute` as an ISO 8601 UTC string.

    Read page by page, each from where the last one ended, so that a reader may
    take all the time it wants. Raises DatabaseUnavailable, also half-way.
    """
    last = None
    while page := _page(database, selection(user_id, since, until, last)):
        for minute in page:
            yield {**minute, "minute": minute["minute"].strftime("%Y-%m-%dT%H:%M:%SZ")}
        last = keys.minute_id(page[-1]["user_id"], page[-1]["minute"])


def selection(
    user_id: str | None, since: datetime | None, until: datetime | None, after: str | None
) -> Document:
    """Return the query for the minutes of a user (or all) in `[since, until)` past a key."""
    key: Document = keys.of_user(user_id) if user_id is not None else {}
    if user_id is not None and since is not None:
        key["$gte"] = keys.minute_id(user_id, _ceil_minute(since))
    if after is not None:
        key = {"$gt": after, **{name: bound for name, bound in key.items() if name == "$lt"}}
    times = {
        name: _ceil_minute(time)
        for name, time in (("$gte", since), ("$lt", until))
        if time is not None
    }
    return {name: query for name, query in (("_id", key), ("minute", times)) if query}


def _ceil_minute(time: datetime) -> datetime:
    floor = time.astimezone(UTC).replace(second=0, microsecond=0)
    return floor if floor == time else floor + timedelta(minutes=1)


def _page(database: Database[Document], query: Document) -> list[Document]:
    columns = {"_id": 0, **dict.fromkeys(COLUMNS, 1)}
    with mongo.translated_errors():
        return list(database[MINUTES].find(query, columns).sort("_id", 1).limit(_PAGE))


def write_csv(rows: Iterable[Row], out: TextIO) -> None:
    """Write a header and a line each row; numbers in the shortest form that reads back the same."""
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def write_ndjson(rows: Iterable[Row], out: TextIO) -> None:
    """Write one JSON object a line."""
    for row in rows:
        ordered = {name: row[name] for name in COLUMNS}
        out.write(json.dumps(ordered, ensure_ascii=False, separators=(",", ":")) + "\n")


WRITERS: dict[str, Callable[[Iterable[Row], TextIO], None]] = {
    "csv": write_csv,
    "ndjson": write_ndjson,
}

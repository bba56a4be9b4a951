"""Stream minutes out, sorted by user and then minute, in memory that does not grow."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import TextIO

import orjson
from pymongo.database import Database

from locapi import keys, mongo
from locapi.mongo import MINUTES, Document

COLUMNS = ("user_id", "minute", "lat", "long", "accuracy", "speed", "count")
_PAGE = 10_000
_NUMBERS = COLUMNS[2:]

Page = list[Document]
_numbers = itemgetter(*_NUMBERS)


def read_pages(
    database: Database[Document],
    user_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Page]:
    """Yield the minutes of `[since, until)` by pages, none of them empty, sorted by their key.

    A minute has its key, as `_id`, and its numbers. Each page begins where the last
    one ended, so a reader may take all the time it wants; one page is read ahead.
    Raises DatabaseUnavailable, also half-way.
    """
    with _a_thread() as ahead:

        def read(last: str | None) -> Page:
            return _page(database, selection(user_id, since, until, last))

        following = ahead.submit(read, None)
        while page := following.result():
            following = ahead.submit(read, page[-1]["_id"])
            yield page


@contextmanager
def _a_thread() -> Iterator[ThreadPoolExecutor]:
    """Yield a thread that nobody waits for at the end: it may wait for the database itself."""
    executor = ThreadPoolExecutor(1)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


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


def _page(database: Database[Document], query: Document) -> Page:
    # The key names user and minute: reading them as columns would only cost time.
    columns = {"_id": 1, **dict.fromkeys(_NUMBERS, 1)}
    with mongo.translated_errors():
        found = database[MINUTES].find(query, columns, limit=_PAGE, batch_size=_PAGE)
        return found.sort("_id", 1).to_list()


def write_csv(pages: Iterable[Page], out: TextIO) -> None:
    """Write a header and a line each minute; numbers in a short form that reads back the same."""
    out.write(",".join(COLUMNS) + "\n")
    for page in pages:
        # Only numbers are between these brackets, so the text can be cut at them.
        numbers = orjson.dumps([_numbers(minute) for minute in page]).decode()[2:-2].split("],[")
        lines = zip(page, numbers, strict=True)
        out.write("".join([f"{_csv_key(minute['_id'])},{row}\n" for minute, row in lines]))


def _csv_key(minute_id: str) -> str:
    user_id, time = minute_id.split("\t")
    if "," in user_id or '"' in user_id:  # there are no line ends in it
        user_id = '"' + user_id.replace('"', '""') + '"'
    return f"{user_id},{time}:00Z"


def write_ndjson(pages: Iterable[Page], out: TextIO) -> None:
    """Write one JSON object a line."""
    for page in pages:
        array = orjson.dumps([_row(minute) for minute in page])[1:-1].decode()
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


WRITERS: dict[str, Callable[[Iterable[Page], TextIO], None]] = {
    "csv": write_csv,
    "ndjson": write_ndjson,
}

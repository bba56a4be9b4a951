"""Stream minutes out, sorted by user and then minute, in memory that does not grow.

What they are written as is the business of `locapi.writers` and `locapi.tables`.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pymongo.database import Database

from locapi import buckets, keys, mongo
from locapi.mongo import MINUTES, Document
from locapi.times import MINUTE

COLUMNS = ("user_id", "minute", "lat", "long", "accuracy", "speed", "count")
NUMBERS = COLUMNS[2:]
LOCAL_TIME = "local_time"
_PAGE = 10_000

Page = list[Document]


class Minutes(NamedTuple):
    """Averages on their way out: pages of them, the columns asked for, and how long each is."""

    pages: Iterable[Page]
    columns: Sequence[str] = COLUMNS
    span: timedelta = MINUTE


def read(
    database: Database[Document],
    user_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    span: timedelta = MINUTE,
    local_time: bool = False,
) -> Minutes:
    """Return the averages over buckets of `span` of the minutes in `[since, until)`.

    With `local_time` each has the wall time at its position where it starts.
    """
    if span == MINUTE:
        pages = read_pages(database, user_id, since, until)
    else:
        state = read_pages(database, user_id, since, until, buckets.STATE)
        pages = buckets.fold(state, span)
    if not local_time:
        return Minutes(pages, COLUMNS, span)
    return Minutes(_with_local_time(pages), (*COLUMNS, LOCAL_TIME), span)


def _with_local_time(pages: Iterable[Page]) -> Iterator[Page]:
    from locapi import utc  # loads the map of zones

    for page in pages:
        for minute in page:
            _, start = keys.parse_minute_id(minute["_id"])
            wall = utc.wall_time(start, minute["lat"], minute["long"])
            minute[LOCAL_TIME] = wall.isoformat()
        yield page


def read_pages(
    database: Database[Document],
    user_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    fields: Sequence[str] = NUMBERS,
) -> Iterator[Page]:
    """Yield the minutes of `[since, until)` by pages, none of them empty, sorted by their key.

    A minute has its key, as `_id`, and these fields. Each page begins where the last
    one ended, so a reader may take all the time it wants; one page is read ahead.
    Raises DatabaseUnavailable, also half-way.
    """
    with _a_thread() as ahead:

        def read(last: str | None) -> Page:
            return _page(database, selection(user_id, since, until, last), fields)

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


def _page(database: Database[Document], query: Document, fields: Sequence[str]) -> Page:
    # The key names user and minute: reading them as columns would only cost time.
    columns = {"_id": 1, **dict.fromkeys(fields, 1)}
    with mongo.translated_errors():
        found = database[MINUTES].find(query, columns, limit=_PAGE, batch_size=_PAGE)
        return found.sort("_id", 1).to_list()

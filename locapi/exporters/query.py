"""Query minutes, sorted by user and time, as a stream of pages in bounded memory."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pymongo.database import Database

from locapi.exporters import buckets
from locapi.fixes import ids
from locapi.fixes.averages import AVERAGED, STATE
from locapi.storage import driver_errors
from locapi.storage.documents import MINUTES, Document
from locapi.times import MINUTE

COLUMNS = ("user_id", "minute", *AVERAGED, "count")
NUMBERS = COLUMNS[2:]
LOCAL_TIME = "local_time"
ZONE = ("tz", "utc_offset")
PAGE_SIZE = 10_000

_LAST_MINUTE = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)

Page = list[Document]


class Minutes(NamedTuple):
    """A stream of minutes, or of longer buckets of `span`, and the columns they have.

    If it is what changed since an earlier read, all earlier rows of the users `erased` go first.
    """

    pages: Iterable[Page]
    columns: Sequence[str] = COLUMNS
    span: timedelta = MINUTE
    erased: Sequence[str] | None = None


def read(
    database: Database[Document],
    user_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    span: timedelta = MINUTE,
    local_time: bool = False,
    page_size: int | None = None,
) -> Minutes:
    """Return the minutes in `[since, until)`, averaged over buckets of `span`.

    With `local_time`, each has the local time at its position when it starts.
    """
    if span == MINUTE:
        pages = read_pages(database, user_id, since, until, page_size=page_size)
    else:
        sums = read_pages(database, user_id, since, until, STATE, page_size)
        pages = buckets.fold(sums, span)
    minutes = Minutes(pages, COLUMNS, span)
    return add_local_time(minutes) if local_time else minutes


def add_local_time(minutes: Minutes) -> Minutes:
    """Return minutes with the local time at the position of each when it starts."""
    pages = _with_local_time(minutes.pages)
    return minutes._replace(pages=pages, columns=(*minutes.columns, LOCAL_TIME))


def _with_local_time(pages: Iterable[Page]) -> Iterator[Page]:
    from locapi.fixes import timezones  # it takes a second to load the map of time zones

    for page in pages:
        for minute in page:
            _, start = ids.parse_minute_id(minute["_id"])
            wall = timezones.wall_time(start, minute["lat"], minute["long"])
            minute[LOCAL_TIME] = wall.isoformat()
        yield page


def add_zone(minutes: Minutes) -> Minutes:
    """Return minutes with the time zone at the position of each, and its UTC offset in seconds."""
    pages = _with_zone(minutes.pages)
    return minutes._replace(pages=pages, columns=(*minutes.columns, *ZONE))


def _with_zone(pages: Iterable[Page]) -> Iterator[Page]:
    from locapi.fixes import timezones  # it takes a second to load the map of time zones

    for page in pages:
        for minute in page:
            _, start = ids.parse_minute_id(minute["_id"])
            minute["tz"] = timezones.zone_at(minute["lat"], minute["long"])
            minute["utc_offset"] = timezones.utc_offset(start, minute["tz"])
        yield page


def read_pages(
    database: Database[Document],
    user_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    fields: Sequence[str] = NUMBERS,
    page_size: int | None = None,
) -> Iterator[Page]:
    """Yield the minutes in `[since, until)`, with `_id` and these fields, in non-empty pages.

    Each page is a query of its own that starts after the last one, so a slow reader keeps no
    cursor open. One page is read ahead. Raises DatabaseUnavailable, perhaps halfway.
    """
    with _one_thread() as ahead:

        def read(last: str | None) -> Page:
            which = selection(user_id, since, until, last)
            return _page(database, which, fields, page_size or PAGE_SIZE)

        following = ahead.submit(read, None)
        while page := following.result():
            following = ahead.submit(read, page[-1]["_id"])
            yield page


@contextmanager
def _one_thread() -> Iterator[ThreadPoolExecutor]:
    """Yield an executor that is not waited for: its thread may be waiting for the database."""
    executor = ThreadPoolExecutor(1)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def selection(
    user_id: str | None, since: datetime | None, until: datetime | None, after: str | None
) -> Document:
    """Return the filter for the minutes of a user (or all) in `[since, until)` after an id."""
    by_id: Document = ids.of_user(user_id) if user_id is not None else {}
    if user_id is not None and since is not None:
        by_id["$gte"] = ids.minute_id(user_id, _ceil_minute(since))
    if after is not None:
        by_id.pop("$gte", None)
        by_id["$gt"] = after
    bounds = {"$gte": since, "$lt": until}
    by_time = {name: _ceil_minute(time) for name, time in bounds.items() if time is not None}
    return {name: query for name, query in (("_id", by_id), ("minute", by_time)) if query}


def _ceil_minute(time: datetime) -> datetime:
    floor = time.astimezone(UTC).replace(second=0, microsecond=0)
    # Nothing is stored in the last minute of the calendar, which has no next one.
    return floor if floor in (time, _LAST_MINUTE) else floor + MINUTE


def _page(database: Database[Document], query: Document, fields: Sequence[str], size: int) -> Page:
    # The id holds user and minute, so reading those as fields would only take time.
    columns = {"_id": 1, **dict.fromkeys(fields, 1)}
    with driver_errors.translated():
        found = database[MINUTES].find(query, columns, limit=size, batch_size=size)
        return found.sort("_id", 1).to_list()

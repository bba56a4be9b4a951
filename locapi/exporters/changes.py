"""Read what changed since an earlier read: minutes, and the users whose rows have to go.

docs/adr/0016-change-marks.md argues why no change is missed.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple

from bson import ObjectId
from pymongo.database import Database

from locapi.errors import Conflict
from locapi.exporters.query import (
    NUMBERS,
    PAGE_SIZE,
    Minutes,
    Page,
    read_pages,
    selection,
)
from locapi.fixes import ids
from locapi.storage import driver_errors, read_points
from locapi.storage.changes import CHANGES
from locapi.storage.documents import MINUTES, TOMBSTONES, WATERMARKS, Document

MAX_OPEN = 100  # marks in a token; beyond it everything since the oldest is read again
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_TEXT = re.compile(r"([0-9a-f]{24})((?:-[0-9]{1,14})+)", re.ASCII)
_START = "start"
_DATE = {"$dateTrunc": {"date": "$minute", "unit": "day"}}
_FIELDS: Document = {"_id": 1, **dict.fromkeys(NUMBERS, 1)}

Window = tuple[datetime | None, datetime | None]


class Token(NamedTuple):
    """Up to which mark its bearer has read, and which marks were open then."""

    lineage: ObjectId
    last: datetime
    open: Sequence[datetime] = ()

    def __str__(self) -> str:
        if self == START:
            return _START
        marks = [str((mark - _EPOCH) // _MS) for mark in (self.last, *self.open)]
        return "-".join([str(self.lineage), *marks])


START = Token(ObjectId("0" * 24), _EPOCH)  # nothing was read yet


class ChangeSet(NamedTuple):
    """What changed: drop all rows of the users that are erased, then replace the minutes."""

    minutes: Minutes
    token: Token  # for the next read


def parse_token(text: str) -> Token:
    """Return the token of a text; raises ValueError with a message that says what to write."""
    if text.strip() == _START:
        return START
    found = _TEXT.fullmatch(text.strip())
    if not found:
        raise ValueError(
            "not a token. Write the one that the last export printed, or start for everything."
        )
    last, *others = (_EPOCH + int(mark) * _MS for mark in found[2][1:].split("-"))
    return Token(ObjectId(found[1]), last, others)


def read_changes(
    database: Database[Document],
    since: Token = START,
    user_id: str | None = None,
    window: Window = (None, None),
    *,
    by_date: bool = False,
    page_size: int = PAGE_SIZE,
) -> ChangeSet:
    """Return what changed since a token was given, sorted by user and time.

    All minutes of an erased user count as changed. With `by_date`, the minutes are sorted by UTC
    date first. Raises Conflict if the token is of another database, or so old that users erased
    since may be forgotten.
    """
    with driver_errors.translated(), database.client.start_session() as session:
        entry = database[WATERMARKS].find_one({"_id": CHANGES}, session=session) or {}
        latest = read_points.reading_after(database, session.operation_time)
        # Also from the start: a reader that lost its first token may have rows of erased users.
        erased = _erased(latest, since, user_id)
        if since != START:
            # Once more, as tombstones may have been forgotten while they were read.
            now = latest[WATERMARKS].find_one({"_id": CHANGES}) or {}
            if session.operation_time and since.last > now.get("last", _EPOCH):
                latest_marks = read_points.linearizable(database[WATERMARKS])
                now = latest_marks.find_one({"_id": CHANGES}) or {}
            _check(since, now)
    if since == START and not by_date:
        pages = read_pages(latest, user_id, *window, page_size=page_size)
    else:
        which = [_changed(since)] if since == START else [_changed(since), *_of_users(erased)]
        within = selection(user_id, *window, None)
        # The minutes of one user are fewer than the changes of all.
        hint = {} if user_id is None else {"hint": {"_id": 1}}
        pages = _sorted(latest, which, within, by_date, page_size, **hint)
    return ChangeSet(Minutes(pages, erased=erased), _token(entry))


def _token(entry: Document) -> Token:
    if not entry:
        return START
    open_marks = sorted(entry["open"])
    if len(open_marks) > MAX_OPEN:
        return Token(entry["lineage"], open_marks[0] - _MS)
    return Token(entry["lineage"], entry["last"], open_marks)


def _check(token: Token, entry: Document) -> None:
    if token.lineage != entry.get("lineage") or token.last > entry["last"]:
        raise Conflict(
            "the token is of another database, or of this one before it was restored from a copy. "
            "Export everything again, without a token, into an empty table."
        )
    forgotten = entry.get("forgotten", _EPOCH)
    if token.last < forgotten or any(mark <= forgotten for mark in token.open):
        raise Conflict(
            "the token is too old: users erased since may be forgotten after 30 days. "
            "Export everything again, without a token, into an empty table."
        )


def _changed(token: Token) -> Document:
    if token == START:
        return {}
    marks: list[Document] = [{"changed_at": {"$gt": token.last}}]
    if token.open:
        marks.append({"changed_at": {"$in": list(token.open)}})
    return {"$or": marks}


def _erased(database: Database[Document], token: Token, user_id: str | None) -> list[str]:
    which = _changed(token) if user_id is None else {**_changed(token), "_id": user_id}
    return [tombstone["_id"] for tombstone in database[TOMBSTONES].find(which).sort("_id", 1)]


def _of_users(user_ids: Sequence[str]) -> list[Document]:
    """Return the query for all minutes of some sorted users, in a list; none if there are none."""
    if not user_ids:
        return []
    # The outer bounds, because of $or alone MongoDB reads a whole clustered collection.
    first, last = ids.of_user(user_ids[0]), ids.of_user(user_ids[-1])
    ranges = [{"_id": ids.of_user(user_id)} for user_id in user_ids]
    return [{"_id": {"$gte": first["$gte"], "$lt": last["$lt"]}, "$or": ranges}]


def _sorted(
    database: Database[Document],
    which: Sequence[Document],
    within: Document,
    by_date: bool,
    page_size: int,
    **options: Any,
) -> Iterator[Page]:
    """Yield the minutes that match any of some queries, and `within`, in pages."""
    fields = {**_FIELDS, "date": _DATE} if by_date else _FIELDS
    first, *others = [
        ({"$match": {"$and": [query, within]}}, {"$project": fields}) for query in which
    ]
    unions = ({"$unionWith": {"coll": MINUTES, "pipeline": [*other]}} for other in others)
    order = {"date": 1, "_id": 1} if by_date else {"_id": 1}
    stages: list[Document] = [*first, *unions, {"$sort": order}]
    options = {"allowDiskUse": True, "batchSize": page_size, **options}
    with (
        driver_errors.translated(),
        database[MINUTES].aggregate(stages, **options) as found,
    ):
        distinct = (next(same) for _, same in groupby(found, itemgetter("_id")))
        while page := list(islice(distinct, page_size)):
            yield page

"""Split what the database received into windows of similar size, slice by slice, by the index.

A slice holds the raw fixes of all users with one hash. `Starts` maps each slice, in ascending
order, to the time from which its fixes are read.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from bson import Timestamp
from pymongo.database import Database

from locapi.fixes.ids import SLICES
from locapi.storage.documents import Document, raw_fixes

Starts = Mapping[int, Timestamp]
_Position = tuple[int, Timestamp]  # in the index

ALL_SLICES = range(SLICES)
BEGINNING = Timestamp(0, 0)
END = Timestamp(2**32 - 1, 2**32 - 1)  # the greatest there is
_INDEX = {"slice": 1, "received_at": 1}


def starts(slices: Sequence[int], times: Sequence[Timestamp]) -> dict[int, Timestamp]:
    """Return the starts of some slices; `times` has those of all slices."""
    return {each: times[each] for each in slices}


def since(starts: Starts, end: Timestamp = END) -> Document:
    """Return the query for everything received of each slice from its start, before `end`."""
    return _between(starts, *_ends(starts, end), end)


def received(start: Timestamp = BEGINNING, end: Timestamp = END) -> Document:
    """Return the query for everything received in `[start, end)`, by the index."""
    return since(dict.fromkeys(ALL_SLICES, start), end)


def windows(
    database: Database[Document], starts: Starts, size: int, end: Timestamp = END
) -> Iterator[Document]:
    """Yield queries that split the result of `since` into parts of about `size` fixes."""
    if not starts:
        return
    here, last = _ends(starts, end)
    while there := _after(database, starts, here, last, size):
        yield _between(starts, here, there, end)
        here = there
    yield _between(starts, here, last, end)


def _ends(starts: Starts, end: Timestamp) -> tuple[_Position, _Position]:
    slices = list(starts)
    return (slices[0], starts[slices[0]]), (slices[-1], end)


def _after(
    database: Database[Document], starts: Starts, here: _Position, last: _Position, size: int
) -> _Position | None:
    """Return the position after at most `size` more fixes, or None if there are not so many.

    A slice is split only if it is larger, so that few minutes have fixes in two windows.
    """
    beyond = here[0], Timestamp(here[1].time, here[1].inc + 1)  # it must not be `here` again
    rest = raw_fixes(database).find(_between(starts, beyond, last, last[1]), {"_id": 0, **_INDEX})
    fix = next(rest.sort(_INDEX).skip(size).limit(1), None)
    if fix is None:
        return None
    is_same = fix["slice"] == here[0]
    return fix["slice"], fix["received_at"] if is_same else starts[fix["slice"]]


def _between(starts: Starts, here: _Position, there: _Position, end: Timestamp) -> Document:
    """Return the query for the fixes from one position to another, grouped by their bounds."""
    slices = list(starts)
    bounds: dict[tuple[Timestamp, Timestamp], list[int]] = defaultdict(list)
    for each in slices[slices.index(here[0]) : slices.index(there[0]) + 1]:
        low = here[1] if each == here[0] else starts[each]
        bounds[low, there[1] if each == there[0] else end].append(each)
    return {
        "$or": [
            {"slice": {"$in": group}, "received_at": {"$gte": low, "$lt": high}}
            for (low, high), group in bounds.items()
        ]
    }

"""Part what the database received, slice by slice, into queries of like size, by the index.

A slice of the raw fixes is all that users of one hash sent; None is those of before
there were slices. A mapping tells for each slice where to start; it is in the order
of the index, None first.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from bson import Timestamp
from pymongo.database import Database

from locapi.keys import SLICES
from locapi.mongo import FIXES, Document

Slice = int | None
Starts = Mapping[Slice, Timestamp]
_Place = tuple[Slice, Timestamp]

ALL = range(SLICES)
BEGINNING = Timestamp(0, 0)
END = Timestamp(2**32 - 1, 2**32 - 1)  # the greatest that there is
_ORDER = {"slice": 1, "received_at": 1}


def starts(share: Sequence[int], times: Sequence[Timestamp]) -> dict[Slice, Timestamp]:
    """Return where each slice of a share starts, from all slices' times; None goes with 0."""
    old: dict[Slice, Timestamp] = {None: times[0]} if 0 in share else {}
    return {**old, **{each: times[each] for each in share}}


def since(starts: Starts, end: Timestamp = END) -> Document:
    """Return the query for all that was received of each slice from its start on, before `end`."""
    first, *_, last = [*starts, *starts]
    return _between(starts, (first, starts[first]), (last, end), end)


def received(start: Timestamp = BEGINNING, end: Timestamp = END) -> Document:
    """Return the query for all that was received in `[start, end)`, by the index."""
    return since(starts(ALL, [start] * SLICES), end)


def windows(
    database: Database[Document], starts: Starts, size: int, end: Timestamp = END
) -> Iterator[Document]:
    """Yield queries that part what `since` finds, each for some `size` fixes."""
    order = list(starts)
    here, last = (order[0], starts[order[0]]), (order[-1], end)
    while there := _later(database, starts, here, last, size):
        yield _between(starts, here, there, end)
        here = there
    yield _between(starts, here, last, end)


def _later(
    database: Database[Document], starts: Starts, here: _Place, last: _Place, size: int
) -> _Place | None:
    beyond = here[0], Timestamp(here[1].time, here[1].inc + 1)  # or it might be the same place
    rest = database[FIXES].find(_between(starts, beyond, last, last[1]), {"_id": 0, **_ORDER})
    after = next(rest.sort(_ORDER).skip(size).limit(1), None)
    return None if after is None else (after.get("slice"), after["received_at"])


def _between(starts: Starts, here: _Place, there: _Place, end: Timestamp) -> Document:
    order = list(starts)
    spans: dict[tuple[Timestamp, Timestamp], list[Slice]] = defaultdict(list)
    for each in order[order.index(here[0]) : order.index(there[0]) + 1]:
        low = here[1] if each == here[0] else starts[each]
        spans[low, there[1] if each == there[0] else end].append(each)
    return {
        "$or": [
            {"slice": {"$in": slices}, "received_at": {"$gte": low, "$lt": high}}
            for (low, high), slices in spans.items()
        ]
    }

"""Average minutes over longer buckets of UTC, exactly: from the state that minutes keep."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any

from locapi.fixes import averages, ids
from locapi.fixes.averages import STATE
from locapi.storage.documents import Document

PAGE_SIZE = 10_000

_state = itemgetter(*STATE)


def fold(pages: Iterable[list[Document]], span: timedelta) -> Iterator[list[Document]]:
    """Yield pages of averages over buckets of `span`, with the ids of their first minutes.

    The minutes are sorted by user and time, each with its STATE; a bucket's averages are those
    of all its fixes. `span` is a whole number of minutes that divides a day.
    """
    bucket_id = ids.bucket_ids(span)
    buckets = groupby(chain.from_iterable(pages), lambda minute: bucket_id(minute["_id"]))
    folded = (_average(key, map(_state, minutes)) for key, minutes in buckets)
    while page := list(islice(folded, PAGE_SIZE)):
        yield page


def _average(bucket_id: str, states: Iterable[tuple[Any, ...]]) -> Document:
    state = averages.merge(states)
    return {"_id": bucket_id, **averages.average(state), "count": state["count"]}

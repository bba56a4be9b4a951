"""Calculate to which shards a router would send a command, by the shard key `_id`."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

Document = dict[str, Any]
Range = tuple[str, str]  # of keys, both ends included

# Commands that go to all shards, by the fields of their query, and why; see docs/SCALING.md.
KNOWN = {
    (
        "fixes",
        (),
    ): "each shard confirms how far its reads go; how many there are; a verification or a dump",
    (
        "fixes",
        ("received_at", "slice"),
    ): "new, late and old fixes are found by when they were received",
    ("minutes", ()): "how many there are; an export, a verification or a dump of all users",
    ("minutes", ("minute",)): "an export of all users in a window",
    ("minutes", ("missing",)): "the few minutes with missing fixes, by a sparse index",
}


class Chunks:
    """The ranges of ids into which a collection is split, each on its own shard."""

    def __init__(self, splits: Sequence[str]) -> None:
        self._splits = sorted(splits)

    def of(self, key: str) -> int:
        """Return the chunk of an id: it includes its lower bound and not its upper."""
        return bisect_right(self._splits, key)

    def touched(self, ranges: Sequence[Range]) -> set[int]:
        """Return the chunks that contain ids of these ranges."""
        return {chunk for low, high in ranges for chunk in range(self.of(low), self.of(high) + 1)}


def ranges(query: Document) -> list[Range] | None:
    """Return the ranges of ids that a query is limited to, or None if it is not limited."""
    key = query.get("_id")
    if isinstance(key, str):
        return [(key, key)]
    if not isinstance(key, dict):
        return None
    if "$in" in key:
        return [(each, each) for each in key["$in"]]
    low = key.get("$gte", key.get("$gt"))
    high = key.get("$lt", key.get("$lte"))
    return None if low is None or high is None else [(low, high)]


def queries(command: Document) -> Iterator[Document]:
    """Yield the queries of a command."""
    name = next(iter(command))
    if name == "aggregate":
        stages = command["pipeline"]
        yield stages[0].get("$match", {}) if stages else {}
    elif name == "insert":
        yield from ({"_id": document["_id"]} for document in command["documents"])
    elif name in ("update", "delete"):
        yield from (part["q"] for part in command[f"{name}s"])
    else:
        yield command.get("filter") or command.get("query") or {}


def broadcasts(command: Document) -> set[tuple[str, tuple[str, ...]]]:
    """Return the collection and the fields of each query that goes to all shards."""
    collection = command[next(iter(command))]
    return {
        (collection, tuple(sorted(_fields(query) - {"_id"})))
        for query in queries(command)
        if ranges(query) is None
    }


def _fields(query: Document) -> set[str]:
    """Return the fields of a query, including those in $or and $and."""
    parts = [query, *(each for name in ("$or", "$and") for each in query.get(name, ()))]
    return {name for part in parts for name in part if not name.startswith("$")}

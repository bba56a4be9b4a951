"""Make the database what the layout says: tell each difference, and mend it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pymongo.database import Database

from locapi import layout, mongo
from locapi.errors import DatabaseRefused
from locapi.layout import Collection
from locapi.mongo import Document

_UNAUTHORIZED = 13
# Documents that were there before and break the rules stay, and may still be changed.
_LEVEL = {"validationLevel": "moderate", "validationAction": "error"}


@dataclass(frozen=True)
class Difference:
    """Where a collection is not as it should be; a harmless one makes it slower, not wrong."""

    collection: str
    what: str
    mend: Callable[[], object] | None = None  # None where only a person can
    mended: bool = False
    harmless: bool = False


def bring_about(database: Database[Document], *, check: bool = False) -> Iterator[Difference]:
    """Yield each difference from the layout, mended unless this is but a check.

    May be repeated, interrupted and run twice at once. What is there beside, as an
    operator's own index, stays. Builds indexes of whatever size before it returns.
    """
    with _rights():
        for difference in _differences(database):
            if difference.mend and not check:
                difference.mend()
                difference = replace(difference, mended=True)
            yield difference


@contextmanager
def _rights() -> Iterator[None]:
    try:
        with mongo.translated_errors():
            yield
    except DatabaseRefused as error:
        if getattr(error.__cause__, "code", None) != _UNAUTHORIZED:
            raise
        raise DatabaseRefused(
            "the database does not grant the right: `locctl init` needs a user with the role "
            "dbAdmin on LOCAPI_DATABASE, and on a sharded cluster clusterManager on admin"
        ) from error


def _differences(database: Database[Document]) -> Iterator[Difference]:
    sharded = mongo.is_router(database.command("hello"))
    there = {each["name"]: each["options"] for each in database.list_collections()}
    for wanted in layout.COLLECTIONS:
        yield from _of_options(database, wanted, there.get(wanted.name))
        yield from _of_indexes(database, wanted)
        if sharded and wanted.shard_key:
            yield from _of_sharding(database, wanted.name, wanted.shard_key)


def _of_options(
    database: Database[Document], wanted: Collection, options: Document | None
) -> Iterator[Difference]:
    if options is None:
        yield Difference(wanted.name, "is not there", lambda: mongo.create(database, wanted))
    elif wanted.clustered and "clusteredIndex" not in options:
        what = "is not stored in the order of its key, which only a copy could mend"
        yield Difference(wanted.name, what, harmless=True)
    rules = {"validator": wanted.validator, **_LEVEL}
    found = {name: (options or {}).get(name) for name in rules}
    if wanted.validator and found != rules:
        what = "has another validator" if found["validator"] else "has no validator"
        command = {"collMod": wanted.name, **rules}
        yield Difference(wanted.name, what, lambda: database.command(command))


def _of_indexes(database: Database[Document], wanted: Collection) -> Iterator[Difference]:
    collection = database[wanted.name]
    there = {index["name"]: _shape(index) for index in collection.list_indexes()}
    for index in wanted.indexes:
        name = index.document["name"]
        if name not in there:
            mend = partial(collection.create_indexes, [index])
            yield Difference(wanted.name, f"has no index {name}", mend)
        elif there[name] != _shape(index.document):
            what = f"has another index by the name of {name}: drop it, and do this again"
            yield Difference(wanted.name, what)


def _shape(index: Mapping[str, Any]) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """Return what makes an index: its fields in order, and its options."""
    options = {name: value for name, value in index.items() if name not in ("v", "key", "name")}
    return list(index["key"].items()), options


def _of_sharding(
    database: Database[Document], collection: str, wanted: dict[str, int]
) -> Iterator[Difference]:
    admin, name = database.client.admin, f"{database.name}.{collection}"
    noted = database.client["config"]["collections"].find_one({"_id": name}) or {}
    # From 8.0 on a router also notes collections that are not sharded.
    found = None if noted.get("unsplittable") else noted.get("key")
    if found is None:
        yield Difference(
            collection,
            f"is not sharded by {_shown(wanted)}",
            lambda: admin.command("shardCollection", name, key=wanted),
        )
    elif list(found.items()) != list(wanted.items()):
        what = f"is sharded by {_shown(found)}: mend that with reshardCollection to "
        yield Difference(collection, what + _shown(wanted))


def _shown(key: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {order}" for name, order in key.items()) + "}"

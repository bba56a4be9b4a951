"""Create or check collections, indexes, validators and shard keys."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from locapi.errors import DatabaseRefused
from locapi.storage import driver_errors, read_points
from locapi.storage.collections import COLLECTIONS, Collection
from locapi.storage.documents import Document

LARGE = 100_000  # documents

_NAMESPACE_EXISTS = 48
_UNAUTHORIZED = 13
# "moderate" allows updates of documents that are invalid already. Otherwise one such minute would
# stop the roll-up of all users.
_LEVEL = {"validationLevel": "moderate", "validationAction": "error"}


@dataclass(frozen=True)
class Difference:
    """A difference between a collection and its definition."""

    collection: str
    what: str
    repair: Callable[[], object] | None = None  # None: only a person can repair it
    repaired: bool = False


def prepare(database: Database[Document], *, patient: bool = True) -> None:
    """Create the collections and indexes that are missing; idempotent.

    Skip index builds on large collections unless `patient`: one takes minutes.
    """
    with driver_errors.translated():
        # A write first: without a primary it fails at once, while a read would wait for one.
        for wanted in filter(lambda each: each.clustered, COLLECTIONS):
            _create(database, wanted)
        for wanted in filter(lambda each: each.indexes, COLLECTIONS):
            collection = database[wanted.name]
            if patient or collection.estimated_document_count() <= LARGE:
                collection.create_indexes(list(wanted.indexes))


def reconcile(database: Database[Document], *, check: bool = False) -> Iterator[Difference]:
    """Yield each difference from the schema, and repair it unless `check`.

    Idempotent, and safe to interrupt and to run twice at once. Other collections and indexes
    are kept. Waits for the index builds.
    """
    with _explain_missing_role():
        for difference in _differences(database):
            if difference.repair and not check:
                difference.repair()
                difference = replace(difference, repaired=True)
            yield difference


@contextmanager
def _explain_missing_role() -> Iterator[None]:
    try:
        with driver_errors.translated():
            yield
    except DatabaseRefused as error:
        if getattr(error.__cause__, "code", None) != _UNAUTHORIZED:
            raise
        raise DatabaseRefused(
            "the database does not grant the right: `locctl init` needs a user with the role "
            "dbAdmin on LOCAPI_DATABASE, and on a sharded cluster clusterManager on admin"
        ) from error


def _differences(database: Database[Document]) -> Iterator[Difference]:
    sharded = read_points.is_router(database.command("hello"))
    existing = {each["name"]: each["options"] for each in database.list_collections()}
    for wanted in COLLECTIONS:
        yield from _storage(database, wanted, existing.get(wanted.name))
        yield from _validator(database, wanted, existing.get(wanted.name, {}))
        yield from _indexes(database, wanted)
        if sharded and wanted.shard_key:
            yield from _sharding(database, wanted.name, wanted.shard_key)


def _storage(
    database: Database[Document], wanted: Collection, options: Document | None
) -> Iterator[Difference]:
    if options is None:
        yield Difference(wanted.name, "does not exist", partial(_create, database, wanted))
    elif wanted.clustered and "clusteredIndex" not in options:
        what = "is not clustered by _id, so exports are slower: dump, drop and restore it"
        yield Difference(wanted.name, what)


def _create(database: Database[Document], wanted: Collection) -> None:
    by_id = {"key": {"_id": 1}, "unique": True}
    options: Document = {"clusteredIndex": by_id} if wanted.clustered else {}
    try:
        database.create_collection(wanted.name, check_exists=False, **options)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise


def _validator(
    database: Database[Document], wanted: Collection, options: Document
) -> Iterator[Difference]:
    rules = {"validator": wanted.validator, **_LEVEL}
    found = {name: options.get(name) for name in rules}
    if wanted.validator and found != rules:
        what = "has another validator" if found["validator"] else "has no validator"
        command = {"collMod": wanted.name, **rules}
        yield Difference(wanted.name, what, partial(database.command, command))


def _indexes(database: Database[Document], wanted: Collection) -> Iterator[Difference]:
    collection = database[wanted.name]
    existing = {index["name"]: _definition(index) for index in collection.list_indexes()}
    for index in wanted.indexes:
        name = index.document["name"]
        if name not in existing:
            create = partial(collection.create_indexes, [index])
            yield Difference(wanted.name, f"has no index {name}", create)
        elif existing[name] != _definition(index.document):
            what = f"has another index named {name}: drop it and run `locctl init` again"
            yield Difference(wanted.name, what)


def _definition(index: Mapping[str, Any]) -> tuple[list[tuple[str, Any]], dict[str, Any]]:
    """Return the fields of an index in order, and its options."""
    options = {name: value for name, value in index.items() if name not in ("v", "key", "name")}
    return list(index["key"].items()), options


def _sharding(
    database: Database[Document], collection: str, wanted: dict[str, int]
) -> Iterator[Difference]:
    admin, name = database.client.admin, f"{database.name}.{collection}"
    entry = database.client["config"]["collections"].find_one({"_id": name}) or {}
    # Since 8.0 the router also lists collections that are not sharded.
    key = None if entry.get("unsplittable") else entry.get("key")
    if key is None:
        shard = partial(admin.command, "shardCollection", name, key=wanted)
        yield Difference(collection, f"is not sharded by {_format(wanted)}", shard)
    elif list(key.items()) != list(wanted.items()):
        what = f"is sharded by {_format(key)}: change that to {_format(wanted)} with "
        yield Difference(collection, what + "reshardCollection")


def _format(key: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {order}" for name, order in key.items()) + "}"

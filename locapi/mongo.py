"""Reach the database: connect, name the collections, make the indexes, translate driver errors."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from bson import Timestamp
from pymongo import DESCENDING, MongoClient, ReadPreference, WriteConcern
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    InvalidName,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern

from locapi import embedded, faults, layout
from locapi.errors import Misconfigured
from locapi.layout import ERASURES, FIXES, MINUTES, TOKENS, WATERMARKS
from locapi.settings import Settings

__all__ = ["ERASURES", "FIXES", "MINUTES", "TOKENS", "WATERMARKS"]

Document = dict[str, Any]

LARGE = 100_000  # documents
_NAMESPACE_EXISTS = 48
_URI_FAULTS = {  # by what the driver says of it
    "RFC 3986": "percent-encode the signs : / ? # [ ] @ % in its user and password",
    "must begin with": "it begins with mongodb:// or mongodb+srv://",
    "Port must be": "its port is a number from 1 to 65535",
    "nknown option": "it has an option that the driver does not know",
}
# A server that falls silent is given up after the sum of both, with all that waits for it: by
# default, after 30 s, while requests would wait for it beside a new primary. The URI may say else.
_LIVENESS_MS: dict[str, Any] = {"connectTimeoutMS": 2_000, "heartbeatFrequencyMS": 1_000}


@contextmanager
def open_database(settings: Settings) -> Iterator[Database[Document]]:
    """Yield the database, on the shared embedded mongod where no `MONGODB_URI` is set.

    Every write is acknowledged by a majority and on disk; every read sees only
    what a majority has, and asks the primary, whatever the URI prefers. It connects
    at the first use. Raises Misconfigured for a URI or name that cannot be used.
    """
    with serving_uri(settings) as uri, _client(uri, settings.mongodb_password_file) as client:
        try:
            database = client.get_database(
                settings.database,
                read_preference=ReadPreference.PRIMARY,
                read_concern=ReadConcern("majority"),
                write_concern=WriteConcern(w="majority", j=True),
            )
        except InvalidName as error:
            raise Misconfigured(f"LOCAPI_DATABASE cannot be used: {error}") from error
        yield database


@contextmanager
def open_for_reading(settings: Settings) -> Iterator[Database[Document]]:
    """Yield the database for long reads, which the members answer that the URI prefers.

    With `readPreference=secondary` in `MONGODB_URI` they cost the primary nothing. They
    see all that was acknowledged before this call: a member that lags is waited for.
    """
    with open_database(settings) as database:
        preferred = database.client.read_preference
        if preferred == ReadPreference.PRIMARY:
            yield database
        else:
            latest = reading_after(database, _latest(database))
            yield latest.with_options(read_preference=preferred)


def reading_after(database: Database[Document], time: Timestamp | None) -> Database[Document]:
    """Return the database, of which each read sees what was written up to a time, if it has one."""
    return database if time is None else database.with_options(read_concern=_ReadingAfter(time))


def _latest(database: Database[Document]) -> Timestamp | None:
    """Return the time of the primary's newest write, or None where no oplog keeps it."""
    with translated_errors():
        return database.command("ping").get("operationTime")


class _ReadingAfter(ReadConcern):
    """What a majority has, at that time or later, by whichever member it is asked."""

    def __init__(self, time: Timestamp) -> None:
        super().__init__("majority")
        self._time = time

    @property
    def document(self) -> dict[str, Any]:
        """Return it as commands bear it."""
        return {**super().document, "afterClusterTime": self._time}


@contextmanager
def serving_uri(settings: Settings) -> Iterator[str]:
    """Yield the URI of the database, which is the embedded one's where none is set."""
    if settings.mongodb_uri is None:
        with embedded.mongod(settings.data_dir) as uri:
            yield uri
    else:
        yield settings.mongodb_uri


def _client(uri: str, password_file: Path | None) -> MongoClient[Document]:
    options = {name: ms for name, ms in _LIVENESS_MS.items() if name.lower() not in uri.lower()}
    if password_file is not None:
        options["password"] = _password(uri, password_file)
    try:
        with warnings.catch_warnings():
            # By a warning, and without the option, the driver would go on.
            warnings.simplefilter("error", UserWarning)
            return MongoClient(uri, tz_aware=True, appname="locapi", connect=False, **options)
    except (ConfigurationError, InvalidURI, OSError, UserWarning, ValueError) as error:
        # The text of `error` may show the URI's password.
        raise Misconfigured(f"MONGODB_URI cannot be used: {_uri_fault(str(error))}") from None


def _uri_fault(text: str) -> str:
    for sign, fault in _URI_FAULTS.items():
        if sign in text:
            return fault
    return "write mongodb://USER:PASSWORD@HOST:PORT/?OPTION=VALUE"


def _password(uri: str, file: Path) -> str:
    if "@" not in uri:  # the driver would pass over the password in silence
        raise Misconfigured(
            "MONGODB_URI names no user for LOCAPI_MONGODB_PASSWORD_FILE; "
            "write mongodb://USER@HOST:PORT"
        )
    try:
        password = file.read_text("utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "not UTF-8")
        # The text of `error` may show what the file holds.
        raise Misconfigured(
            f"LOCAPI_MONGODB_PASSWORD_FILE cannot be read ({reason}); see that {file} is there, "
            "and that this user may read it"
        ) from None
    if not password or not password.isprintable():
        raise Misconfigured(
            f"LOCAPI_MONGODB_PASSWORD_FILE names {file}, which must hold the password "
            "and nothing else, on one line"
        )
    return password


def prepare(database: Database[Document], *, patient: bool = True) -> None:
    """Make the collections and indexes that are not there yet; may be repeated.

    Who is not patient leaves the indexes of a large collection to who is: to build
    one takes minutes.
    """
    with translated_errors():
        # A write first: where there is no primary it is refused, while a read would be waited for.
        for wanted in filter(lambda each: each.clustered, layout.COLLECTIONS):
            create(database, wanted)
        for wanted in filter(lambda each: each.indexes, layout.COLLECTIONS):
            collection = database[wanted.name]
            if patient or collection.estimated_document_count() <= LARGE:
                collection.create_indexes(list(wanted.indexes))


def create(database: Database[Document], wanted: layout.Collection) -> None:
    """Make a collection unless it is there, however it was made."""
    by_key = {"key": {"_id": 1}, "unique": True}
    options: Document = {"clusteredIndex": by_key} if wanted.clustered else {}
    try:
        database.create_collection(wanted.name, check_exists=False, **options)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:  # made otherwise, before: slower, and as right
            raise


class Settled(NamedTuple):
    """A time up to which majority reads see every finished write, and whose reads those are."""

    time: datetime  # the database's own
    election: Any  # of the primary that said so; None where there are none, or a router hides them
    after: Timestamp | None = None  # what reads must be told to wait for behind a router


def settled(database: Database[Document]) -> Settled:
    """Return how far the primary's majority reads go; a new one's may go less far for a while."""
    with translated_errors():
        hello = database.command("hello", codec_options=database.codec_options)
    if is_router(hello) and "$clusterTime" in hello:
        now = hello["$clusterTime"]["clusterTime"]
        return Settled(now.as_datetime(), None, now)
    time: datetime = hello.get("lastWrite", {}).get("majorityWriteDate", hello["localTime"])
    return Settled(time, hello.get("electionId"))


def settled_time(database: Database[Document]) -> datetime:
    """Return the database's own time up to which a majority read sees every finished write."""
    now = settled(database)
    if now.after is not None:
        with translated_errors():
            shards = reading_after(database, now.after)[FIXES]
            # Sorted, so the router waits for each shard's answer.
            shards.find_one({}, {"_id": 1}, sort=[("_id", DESCENDING)])
    return now.time


def is_router(hello: Document) -> bool:
    """Tell by its `hello` whether a sharded cluster's router answered."""
    return hello.get("msg") == "isdbgrid"


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise locapi's own error, one sentence long, for one of the driver's."""
    try:
        yield
    except PyMongoError as error:
        raise faults.explain(error) from error

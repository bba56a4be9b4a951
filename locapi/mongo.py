"""Reach the database: connect, name the collections, make the indexes, translate driver errors."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from pymongo import ASCENDING, IndexModel, MongoClient, WriteConcern
from pymongo.database import Database
from pymongo.errors import (
    ConfigurationError,
    InvalidName,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern

from locapi import embedded, faults
from locapi.errors import Misconfigured
from locapi.settings import Settings

Document = dict[str, Any]

FIXES = "fixes"
MINUTES = "minutes"
WATERMARKS = "watermarks"
ERASURES = "erasures"
TOKENS = "tokens"

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
_INDEXES = {
    FIXES: [
        # The roll-up reads what was received since its watermark.
        IndexModel([("received_at", ASCENDING)]),
        # A user's newest fix decides which pass of a repeated hour a wall time means.
        IndexModel([("user_id", ASCENDING), ("fix_time", ASCENDING)]),
    ],
    # The roll-up finds the few minutes that still miss a fix; sparse, so the rest costs nothing.
    MINUTES: [IndexModel([("missing", ASCENDING)], sparse=True)],
    # Those of one user are listed, and go with the user.
    TOKENS: [IndexModel([("user_id", ASCENDING)])],
}


@contextmanager
def open_database(settings: Settings) -> Iterator[Database[Document]]:
    """Yield the database, on the shared embedded mongod where no `MONGODB_URI` is set.

    Every write is acknowledged by a majority and on disk; every read sees only
    what a majority has. It connects at the first use. Raises Misconfigured for
    a URI or name that cannot be used.
    """
    with serving_uri(settings) as uri, _client(uri, settings.mongodb_password_file) as client:
        try:
            database = client.get_database(
                settings.database,
                read_concern=ReadConcern("majority"),
                write_concern=WriteConcern(w="majority", j=True),
            )
        except InvalidName as error:
            raise Misconfigured(f"LOCAPI_DATABASE cannot be used: {error}") from error
        yield database


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


def prepare(database: Database[Document]) -> None:
    """Make the collections and indexes that are not there yet; may be repeated."""
    with translated_errors():
        _make_minutes(database)
        for collection, indexes in _INDEXES.items():
            database[collection].create_indexes(indexes)


def indexes() -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Yield the collection and the keys of each index that must be there."""
    for collection, models in _INDEXES.items():
        yield from ((collection, list(model.document["key"].items())) for model in models)


def _make_minutes(database: Database[Document]) -> None:
    """Make the collection that is stored in the order of its key, so that exports read on."""
    try:
        by_key = {"key": {"_id": 1}, "unique": True}
        database.create_collection(MINUTES, check_exists=False, clusteredIndex=by_key)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:  # made otherwise, before: slower, and as right
            raise


def settled_time(database: Database[Document]) -> datetime:
    """Return the database's own time up to which a majority read sees every finished write."""
    with translated_errors():
        hello = database.command("hello", codec_options=database.codec_options)
    time: datetime = hello.get("lastWrite", {}).get("majorityWriteDate", hello["localTime"])
    return time


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise locapi's own error, one sentence long, for one of the driver's."""
    try:
        yield
    except PyMongoError as error:
        raise faults.explain(error) from error

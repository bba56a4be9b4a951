"""Open the database: the client, its timeouts, its read and write concerns."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient, ReadPreference, WriteConcern
from pymongo.database import Database
from pymongo.errors import ConfigurationError, InvalidName, InvalidURI
from pymongo.read_concern import ReadConcern

from locapi.errors import Misconfigured
from locapi.settings import Settings
from locapi.storage import embedded, read_points
from locapi.storage.documents import Document

_URI_FAULTS = {  # by a part of the driver's message
    "RFC 3986": "percent-encode the characters : / ? # [ ] @ % in its user and password",
    "must begin with": "it must begin with mongodb:// or mongodb+srv://",
    "Port must be": "its port must be a number from 1 to 65535",
    "nknown option": "it has an option that the driver does not know",
}
# A server that stops responding is given up after the sum of both, so operations fail before the
# default of 30 s and can go to a new primary. The URI may set other values.
_LIVENESS_MS: dict[str, Any] = {"connectTimeoutMS": 2_000, "heartbeatFrequencyMS": 1_000}


@contextmanager
def open_database(settings: Settings) -> Iterator[Database[Document]]:
    """Yield the database; without `MONGODB_URI` the shared embedded one.

    A write returns once a majority has it on disk. A read sees only what a majority has, and
    goes to the primary whatever the URI prefers. The first operation connects.
    Raises Misconfigured for a URI or a name that cannot be used.
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
    """Yield the database for long reads, which go to the members that the URI prefers.

    With `readPreference=secondary` in `MONGODB_URI` they do not burden the primary. They see
    everything acknowledged before this call: a member that lags responds once it has caught up.
    """
    with open_database(settings) as database:
        yield for_reading(database)


def for_reading(database: Database[Document]) -> Database[Document]:
    """Return an open database for long reads, as `open_for_reading` does."""
    preferred = database.client.read_preference
    if preferred == ReadPreference.PRIMARY:
        return database
    latest = read_points.reading_after(database, read_points.latest_write(database))
    return latest.with_options(read_preference=preferred)


@contextmanager
def serving_uri(settings: Settings) -> Iterator[str]:
    """Yield the URI of the database; without `MONGODB_URI` that of the embedded one."""
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
            # The driver only warns of an invalid option and ignores it.
            warnings.simplefilter("error", UserWarning)
            return MongoClient(uri, tz_aware=True, appname="locapi", connect=False, **options)
    except (ConfigurationError, InvalidURI, OSError, UserWarning, ValueError) as error:
        # The message of `error` may contain the URI's password.
        raise Misconfigured(f"MONGODB_URI cannot be used: {_uri_fault(str(error))}") from None


def _uri_fault(message: str) -> str:
    for part, fault in _URI_FAULTS.items():
        if part in message:
            return fault
    return "write mongodb://USER:PASSWORD@HOST:PORT/?OPTION=VALUE"


def _password(uri: str, file: Path) -> str:
    if "@" not in uri:  # the driver would ignore the password
        raise Misconfigured(
            "MONGODB_URI names no user for LOCAPI_MONGODB_PASSWORD_FILE; "
            "write mongodb://USER@HOST:PORT"
        )
    try:
        password = file.read_text("utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "not UTF-8")
        # The message of `error` may contain a part of the file.
        raise Misconfigured(
            f"LOCAPI_MONGODB_PASSWORD_FILE cannot be read ({reason}); check that {file} exists "
            "and that this user may read it"
        ) from None
    if not password or not password.isprintable():
        raise Misconfigured(
            f"LOCAPI_MONGODB_PASSWORD_FILE names {file}, which must hold the password "
            "and nothing else, on one line"
        )
    return password

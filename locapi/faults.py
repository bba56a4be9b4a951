"""What an error of the driver means: cause and remedy in our own words, and whether waiting helps.

The database's words are never passed on: a refusal quotes the command with its documents, a
duplicate its key. Only hosts and what the operating system said of them are shown.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pymongo.errors import AutoReconnect, ConfigurationError, OperationFailure, PyMongoError
from pymongo.errors import WTimeoutError as NotConfirmed

from locapi import embedded
from locapi.errors import DatabaseRefused, DatabaseUnavailable, LocapiError

_NO_PRIMARY = (
    "the database has no primary that takes writes",
    "see by rs.status() that the replica set is initiated and most of it runs, "
    "and that MONGODB_URI names the set",
)
_ENDING = ("the database is shutting down", "see that it is started again")
_UNCONFIRMED = (
    "too few of the replica set confirm a write",
    "see by rs.status() that most of its members run and keep up",
)
_INTERRUPTED = (
    "the database broke off what it was doing",
    "see that it runs and that its members reach each other",
)
_SLOW = ("the database does not answer in time", "see its load and its log")

# What passes without a change of our settings: the same call may succeed later.
_PASSING = {
    # Beside what the driver tells itself, when a primary ends, steps down or is cut off.
    **dict.fromkeys((6, 7, 43, 89, 134, 175, 237, 9001, 11601), _INTERRUPTED),
    50: _SLOW,
    64: _UNCONFIRMED,
    91: _ENDING,
    100: _UNCONFIRMED,
    189: _NO_PRIMARY,
    262: _SLOW,
    371: ("the database's writes are blocked", "lift that with setUserWriteBlockMode"),
    10058: _NO_PRIMARY,
    10107: _NO_PRIMARY,
    11600: _ENDING,
    11602: _NO_PRIMARY,
    13435: _NO_PRIMARY,
    13436: _NO_PRIMARY,
    14031: ("the database's disk is full", "free space on it"),
}
# What only another user or password can change.
_LASTING = {
    13: (
        "the database does not grant the right",
        "put a user into MONGODB_URI that has the role readWrite on LOCAPI_DATABASE",
    ),
    18: (
        "the database does not accept the credentials",
        "see that user, password and authSource in MONGODB_URI are right",
    ),
}
_FULL = 14_031
_UNSPECIFIC = (1, 8)  # by which mongod 6.0 says of a full disk what the system says
_NAMES = {
    13: "Unauthorized",
    18: "AuthenticationFailed",
    50: "MaxTimeMSExpired",
    64: "WriteConcernFailed",
    91: "ShutdownInProgress",
    189: "PrimarySteppedDown",
    10107: "NotWritablePrimary",
    11602: "InterruptedDueToReplStateChange",
    14031: "OutOfDiskSpace",
}
# What the driver says of a connection; the first that fits.
_CONNECTION = (
    (r"^No ", *_NO_PRIMARY),
    (
        r"\[Errno 2[34]\]",
        "this process has too many files open to reach the database",
        "raise its limit (ulimit -n)",
    ),
    (
        r"\[Errno -\d+\]|DNS",
        "the database's host name cannot be resolved",
        "see that MONGODB_URI is spelled right and DNS works",
    ),
    (
        r"SSL|certificate",
        "no TLS connection to the database comes about",
        "see that both sides use TLS and that the certificate and tlsCAFile in MONGODB_URI fit",
    ),
)
_TOLD = re.compile(
    r"([\w./:\[\]%-]+): (\[Errno -?\d+\] [A-Za-z ]*[a-z]|timed out|connection closed)"
)
_CODE = re.compile(r"'code': (\d+)")


def explain(error: PyMongoError) -> LocapiError:
    """Return locapi's own error for one of the driver's: one sentence, cause and remedy."""
    code = _code(error)
    if code in _UNSPECIFIC and "No space left on device" in str(error):
        code = _FULL
    if code in _LASTING:
        return DatabaseRefused(_sentence(error, code, *_LASTING[code]))
    if code in _PASSING:
        return DatabaseUnavailable(_sentence(error, code, *_PASSING[code]))
    if isinstance(error, AutoReconnect | ConfigurationError) or error.timeout:
        return DatabaseUnavailable(_of_connection(str(error)))
    name = _name(error, code)
    return DatabaseRefused(f"the database refused ({name}); see its log, or report a bug of ours")


def _code(error: PyMongoError) -> int | None:
    details = getattr(error, "details", None)
    if isinstance(details, Mapping):
        # A bulk write's own code says nothing; those of its parts do.
        parts = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
        for part in [*parts, details]:
            if "code" in part:
                return int(part["code"])
    if isinstance(error, NotConfirmed):
        return 64
    if isinstance(error, OperationFailure):
        return error.code
    # Where no server could be chosen, the text tells why the last one was given up.
    found = _CODE.search(str(error)) if isinstance(error, AutoReconnect) else None
    return int(found[1]) if found else None


def _sentence(error: PyMongoError, code: int | None, cause: str, remedy: str) -> str:
    return f"{cause} ({_name(error, code)}); {remedy}"


def _name(error: PyMongoError, code: int | None) -> str:
    details: Any = getattr(error, "details", None)
    # By our list first: not every error of one kind bears the name.
    name = _NAMES.get(code or 0) or (isinstance(details, Mapping) and details.get("codeName"))
    if code is None:
        return type(error).__name__
    return f"{name}, code {code}" if str(name).isidentifier() and name else f"code {code}"


def _of_connection(text: str) -> str:
    told = dict.fromkeys(": ".join(found) for found in _TOLD.findall(text.split(", Timeout:")[0]))
    shown = f" ({', '.join(told)})" if told else ""
    for pattern, cause, remedy in _CONNECTION:
        if re.search(pattern, text):
            return f"{cause}{shown}; {remedy}"
    home = _embedded_home(text)
    if home and (ended_by := embedded.ended_by(home)):
        return (
            f"the embedded database has ended: {ended_by}; mend that, and it is started again "
            f"(its log is {home / 'mongod.log'})"
        )
    return f"the database does not answer{shown}; see that it runs and that MONGODB_URI names it"


def _embedded_home(text: str) -> Path | None:
    found = re.match(r"(/.*?)/mongod\.sock: ", text)
    return Path(found[1]) if found else None

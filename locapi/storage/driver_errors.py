"""Explain errors of the driver: cause and remedy in our own words, and whether to try again.

The database's messages are never passed on: that of a refusal quotes the command with its
documents, that of a duplicate its key. Only hosts and the operating system's message are.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pymongo.errors import AutoReconnect, ConfigurationError, OperationFailure, PyMongoError
from pymongo.errors import WTimeoutError as NotConfirmed

from locapi.errors import DatabaseRefused, DatabaseUnavailable, LocapiError
from locapi.storage import embedded


class _Fault(NamedTuple):
    cause: str
    remedy: str


_NO_PRIMARY = _Fault(
    "the database has no primary that takes writes",
    "check with rs.status() that the replica set is initiated and most of its members run, "
    "and that MONGODB_URI names the set",
)
_ENDING = _Fault("the database is shutting down", "check that it is started again")
_UNCONFIRMED = _Fault(
    "too few members of the replica set confirm a write",
    "check with rs.status() that most of them run and keep up",
)
_INTERRUPTED = _Fault(
    "the database interrupted an operation",
    "check that it runs and that its members reach each other",
)
_SLOW = _Fault("the database does not answer in time", "check its load and its log")
_NO_INDEX = _Fault(
    "the database has no index that this needs", "run `locctl init`, which creates it"
)
_BAD_VALUE = 2
_DISK_FULL = 14_031

# The same call may succeed later, without a change of the settings.
_UNAVAILABLE = {
    # Beside those that the driver recognizes when a primary ends, steps down or is cut off.
    **dict.fromkeys((6, 7, 43, 89, 134, 175, 237, 9001, 11601), _INTERRUPTED),
    50: _SLOW,
    64: _UNCONFIRMED,
    91: _ENDING,
    100: _UNCONFIRMED,
    189: _NO_PRIMARY,
    262: _SLOW,
    371: _Fault("the database's writes are blocked", "unblock them with setUserWriteBlockMode"),
    10058: _NO_PRIMARY,
    10107: _NO_PRIMARY,
    11600: _ENDING,
    11602: _NO_PRIMARY,
    13435: _NO_PRIMARY,
    13436: _NO_PRIMARY,
    _DISK_FULL: _Fault("the database's disk is full", "free space on it"),
}
# These need another user or password.
_REFUSED = {
    13: _Fault(
        "the database does not grant the right",
        "put a user into MONGODB_URI that has the role readWrite on LOCAPI_DATABASE",
    ),
    18: _Fault(
        "the database does not accept the credentials",
        "check user, password and authSource in MONGODB_URI",
    ),
}
_UNSPECIFIC = (1, 8)  # with which mongod 6.0 reports the operating system's message
_NAMES = {
    13: "Unauthorized",
    18: "AuthenticationFailed",
    50: "MaxTimeMSExpired",
    64: "WriteConcernFailed",
    91: "ShutdownInProgress",
    189: "PrimarySteppedDown",
    10107: "NotWritablePrimary",
    11602: "InterruptedDueToReplStateChange",
    _DISK_FULL: "OutOfDiskSpace",
}
# By the driver's message about a connection; the first that matches.
_CONNECTION = (
    (r"^No ", _NO_PRIMARY),
    (
        r"\[Errno 2[34]\]",
        _Fault(
            "this process has too many files open to reach the database",
            "raise its limit (ulimit -n)",
        ),
    ),
    (
        r"\[Errno -\d+\]|DNS",
        _Fault(
            "the database's host name cannot be resolved",
            "check that the host or container runs, that its name in MONGODB_URI is right, and DNS",
        ),
    ),
    (
        r"SSL|certificate",
        _Fault(
            "no TLS connection to the database can be made",
            "check that both sides use TLS and that the certificate fits tlsCAFile in MONGODB_URI",
        ),
    ),
)
_PUBLIC = re.compile(
    r"([\w./:\[\]%-]+): (\[Errno -?\d+\] [A-Za-z ]*[a-z]|timed out|connection closed)"
)
_CODE = re.compile(r"'code': (\d+)")


@contextmanager
def translated() -> Iterator[None]:
    """Raise locapi's own error, one sentence long, in place of one of the driver's."""
    try:
        yield
    except PyMongoError as error:
        raise explain(error) from error


def explain(error: PyMongoError) -> LocapiError:
    """Return locapi's own error for one of the driver's: one sentence, cause and remedy."""
    code = _code(error)
    if code in _UNSPECIFIC and "No space left on device" in str(error):
        code = _DISK_FULL
    if code in _REFUSED:
        return DatabaseRefused(_sentence(error, code, _REFUSED[code]))
    if code in _UNAVAILABLE:
        return DatabaseUnavailable(_sentence(error, code, _UNAVAILABLE[code]))
    if isinstance(error, AutoReconnect | ConfigurationError) or error.timeout:
        return DatabaseUnavailable(_connection_fault(str(error)))
    name = _name(error, code)
    if code == _BAD_VALUE and "hint" in str(error):
        return DatabaseRefused(_sentence(error, code, _NO_INDEX))
    return DatabaseRefused(f"the database refused ({name}); check its log, or report a bug")


def _code(error: PyMongoError) -> int | None:
    details = getattr(error, "details", None)
    if isinstance(details, Mapping):
        # The code of a bulk write says nothing; those of its parts do.
        parts = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
        for part in [*parts, details]:
            if "code" in part:
                return int(part["code"])
    if isinstance(error, NotConfirmed):
        return 64
    if isinstance(error, OperationFailure):
        return error.code
    # If no server could be chosen, the message has the reason why the last one was given up.
    found = _CODE.search(str(error)) if isinstance(error, AutoReconnect) else None
    return int(found[1]) if found else None


def _sentence(error: PyMongoError, code: int | None, fault: _Fault) -> str:
    return f"{fault.cause} ({_name(error, code)}); {fault.remedy}"


def _name(error: PyMongoError, code: int | None) -> str:
    details: Any = getattr(error, "details", None)
    # Our list first: not every error with a code has its name.
    name = _NAMES.get(code or 0) or (isinstance(details, Mapping) and details.get("codeName"))
    if code is None:
        return type(error).__name__
    return f"{name}, code {code}" if str(name).isidentifier() and name else f"code {code}"


def _connection_fault(message: str) -> str:
    public = dict.fromkeys(
        ": ".join(found) for found in _PUBLIC.findall(message.split(", Timeout:")[0])
    )
    reason = f" ({', '.join(public)})" if public else ""
    for pattern, fault in _CONNECTION:
        if re.search(pattern, message):
            return f"{fault.cause}{reason}; {fault.remedy}"
    if embedded_home := re.match(r"(/.*?)/mongod\.sock: ", message):
        log = embedded.log_of(Path(embedded_home[1]))
        return f"the embedded database does not answer; see its log, {log}"
    return (
        f"the database does not answer{reason}; "
        "check that it runs and that MONGODB_URI is its address"
    )

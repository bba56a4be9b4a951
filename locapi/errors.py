"""The errors locapi raises on purpose, split by whose fault they are."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

RETRY_AFTER_S = 2  # what who is sent away is told to wait, where waiting helps


class LocapiError(Exception):
    """Anything that went wrong and was foreseen; its text is one sentence for a person."""


class InvalidFix(LocapiError):
    """The sender's fault: the body is not a fix and never will be.

    `fields` maps a field's name to what is wrong with it; it is empty when the
    body as a whole cannot be read.
    """

    def __init__(self, message: str, fields: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(message)
        self.fields = {name: list(faults) for name, faults in (fields or {}).items()}


class Unauthorized(LocapiError):
    """The sender's fault: the request bears no valid token."""


class Forbidden(LocapiError):
    """The sender's fault: the token is another user's than the fix."""


class Misconfigured(LocapiError):
    """The operator's fault: a setting or an argument cannot be used; the text says what to do."""


class Conflict(LocapiError):
    """What is asked for would contradict what is there, or has changed meanwhile."""


class UnreadableFile(LocapiError):
    """The file's fault: from some place on it cannot be read; the text says which and why."""


class DatabaseUnavailable(LocapiError):
    """Nobody's fault, or the database's: the same call may well succeed later."""


class DatabaseRefused(LocapiError):
    """The database answered, and the answer was no: its rights, its disk or a bug of ours."""


class Overloaded(LocapiError):
    """More is asked for than can be done now; the same call may well succeed later."""


class ApiUnreachable(LocapiError):
    """The API, or whatever is at its address, does not tell what it answered."""


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Raise Misconfigured, naming the extra, where a library that it brings is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"this needs {error.name}, which is not installed; pip install 'locapi[{extra}]'"
        ) from error

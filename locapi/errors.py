"""The errors that locapi raises on purpose. Their text is one sentence for a person."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

RETRY_AFTER_S = 2  # for the Retry-After header


class LocapiError(Exception):
    """Base class of all errors that are expected to happen."""


class InvalidFix(LocapiError):
    """A fix is invalid; the same fix will be invalid again.

    `fields` lists what is wrong with each field; it is empty if the body is not a JSON object.
    """

    def __init__(self, message: str, fields: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(message)
        self.fields = {name: list(faults) for name, faults in (fields or {}).items()}


class InvalidRequest(LocapiError):
    """A parameter of a request is invalid; the text says what to do.

    `fields` lists what is wrong with each parameter.
    """

    def __init__(self, message: str, fields: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(message)
        self.fields = {name: list(faults) for name, faults in (fields or {}).items()}


class TooLarge(LocapiError):
    """A body has more fixes or bytes than are accepted; the text says the limits."""


class RequestTimeout(LocapiError):
    """The request did not arrive in time; the client may send it again."""


class Unauthorized(LocapiError):
    """The request has no valid token."""


class MisdirectedRequest(LocapiError):
    """The request is for a host name that this API does not serve."""


class Forbidden(LocapiError):
    """The token does not permit the request."""


class Misconfigured(LocapiError):
    """A setting or an argument cannot be used; the text says what to do."""


class Conflict(LocapiError):
    """The requested change contradicts what is stored, or the data changed meanwhile."""


class UnreadableFile(LocapiError):
    """A file, or the rest of it, cannot be read; the text says which file, from where and why."""


class DatabaseUnavailable(LocapiError):
    """The database did not answer, or not in time; the same call may succeed later."""


class DatabaseRefused(LocapiError):
    """The database refused a command: because of its rights, its disk, or a bug in locapi."""


class Overloaded(LocapiError):
    """Too much is in progress; the same call may succeed later."""


class ApiUnreachable(LocapiError):
    """There is no usable response from the API's address."""


@contextmanager
def require_extra(extra: str) -> Iterator[None]:
    """Raise Misconfigured with the name of the extra if one of its libraries is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"this needs {error.name}, which is not installed. Run pip install 'locapi[{extra}]'"
        ) from error

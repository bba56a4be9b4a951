"""Log to stderr: plain text on a terminal, else one JSON object a line.

The message of an exception is not logged, because it may contain a value that a user sent. Its
type and its stack are.
"""

import logging
import os
import re
import sys
import time
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from locapi.text import printable

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_OURS = ("locapi", "locctl")
_EVERY_S = 60.0
MAX_KINDS = 100  # of messages of libraries, in a minute
_VALUES = re.compile(r"\(.*\)|'[^']*'|\"[^\"]*\"|\b[0-9a-fA-Fx.:]*[0-9][0-9a-fA-Fx.:]*")

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def configure(stream: TextIO | None = None, *, quiet: bool = False) -> None:
    """Log to standard error from here on: plain text if it is a terminal, else JSON.

    With `quiet`, log warnings and errors only.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.addFilter(_Foreign().may_pass)
    handler.setFormatter(Plain() if stream.isatty() else Json())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.WARNING if quiet else logging.INFO)


def stack(error: BaseException) -> str:
    """Return in one line an exception's type and where it came from, without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    calls = [f"{'/'.join(Path(f.filename).parts[-2:])}:{f.lineno} {f.name}" for f in frames]
    return f"{type(error).__name__} at {' < '.join(reversed(calls)) or 'an unknown place'}"


def template(message: str) -> str:
    """Return the first line of a message without values, so that repeats of it are equal."""
    return _VALUES.sub("#", message.partition("\n")[0])[:80]


class Plain(logging.Formatter):
    """`LEVEL message`, for a person."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without characters that a terminal would act on."""
        return "\n".join(map(printable, super().format(record).split("\n")))

    def formatException(self, ei: Any) -> str:  # noqa: N802  logging's name
        """Return the type and the stack."""
        return stack(ei[1])


class Json(JsonFormatter):
    """One object a line: time (UTC), level, logger, message, pid, and the request's id in one."""

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],  # noqa: ARG002  never logged here
    ) -> None:
        """Fill in the fields."""
        at = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
        log_data["time"] = at.isoformat(timespec="milliseconds") + "Z"
        log_data["level"] = record.levelname
        log_data["logger"] = record.name
        log_data["message"] = record.getMessage()
        log_data["pid"] = os.getpid()
        if (current := request_id.get()) is not None:
            log_data["request_id"] = current
        if record.exc_info and record.exc_info[1]:
            log_data["error"] = stack(record.exc_info[1])


class _Foreign:
    """A filter that passes each kind of a library's messages once a minute, its first line only."""

    def __init__(self) -> None:
        self._said_at: dict[tuple[str, str], float] = {}

    def may_pass(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] in _OURS:
            return True
        # What asyncio adds on further lines shows the values of what failed.
        kind, now = (record.name, template(str(record.msg))), time.monotonic()
        record.msg, record.args = record.getMessage().partition("\n")[0], ()
        if now - self._said_at.get(kind, -_EVERY_S) < _EVERY_S:
            return False
        self._said_at = {k: at for k, at in self._said_at.items() if now - at < _EVERY_S}
        if len(self._said_at) >= MAX_KINDS:
            return False
        self._said_at[kind] = now
        return True

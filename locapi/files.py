"""Replace files as a whole, so that nobody ever reads half of one."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

EVERYONE = 0o666


@contextmanager
def replacing(file: Path, permissions: int = EVERYONE, *, binary: bool = True) -> Iterator[IO[Any]]:
    """Yield a file that is on disk and replaces `file` when the block ends without an error.

    Its permissions are those given without the bits of the umask. Text is written as UTF-8. If
    the process is killed, a file named `.NAME.8_HEX_DIGITS` is left beside `file`.
    """
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, permissions)
    try:
        with open_handle(handle, binary=binary) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def open_handle(handle: int, *, binary: bool) -> IO[Any]:
    """Return a file object that writes bytes, or text as UTF-8, to a file descriptor."""
    return open(handle, "wb") if binary else open(handle, "w", encoding="utf-8", newline="\n")

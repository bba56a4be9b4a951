"""Where a command's data go: standard output, or a file that is there only once it is whole."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

EVERYONE = 0o666


@contextmanager
def opened(output: Path | None, *, binary: bool = False) -> Iterator[IO[Any]]:
    """Yield what a command's data are written to: this file, or else standard output."""
    if output is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield sys.stdout.buffer if binary else sys.stdout
        sys.stdout.flush()
    else:
        with replaced(output, binary=binary) as out:
            yield out


@contextmanager
def replaced(output: Path, *, binary: bool, mode: int = EVERYONE) -> Iterator[IO[Any]]:
    """Yield a temporary file beside `output` that takes its place once all is written.

    `mode` is what all may do with it, less what the umask says.
    """
    try:
        handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        os.close(handle)
        temporary = Path(name)
        try:
            with _written(temporary, binary) as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            temporary.chmod(mode & ~_umask())
            temporary.replace(output)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}") from error


def _written(path: Path, binary: bool) -> IO[Any]:
    return path.open("wb") if binary else path.open("w", encoding="utf-8", newline="\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""Write a command's data to stdout or to a file, and its messages to stderr."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click

from locapi.files import EVERYONE, open_handle, replacing
from locapi.text import printable

NO_MINUTES = "No minutes match. If fixes arrived since the last roll-up, run `locctl rollup` first."


def row(*cells: str) -> None:
    """Print a row of a table to stdout, without characters that a terminal would act on."""
    click.echo("\t".join(map(printable, cells)))


def say(message: str) -> None:
    """Print a message to stderr in one line, without characters that a terminal would act on."""
    click.echo(printable(message), err=True)


@contextmanager
def opened(output: Path | None, *, binary: bool = False) -> Iterator[IO[Any]]:
    """Yield the file to write a command's data to: stdout if `output` is None."""
    if output is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield sys.stdout.buffer if binary else sys.stdout
        sys.stdout.flush()
    else:
        with replaced(output, binary=binary) as out:
            yield out


@contextmanager
def replaced(output: Path, *, binary: bool, mode: int = EVERYONE) -> Iterator[IO[Any]]:
    """Yield a file that replaces `output` when the block ends without an error.

    A symbolic link stays, and its target is replaced. A pipe or a device is written directly.
    The permissions are `mode` without the bits of the umask, and no wider than before.
    """
    try:
        status = _status(output)
        if status is not None and not stat.S_ISREG(status.st_mode):
            with open_handle(os.open(output, os.O_WRONLY), binary=binary) as out:
                yield out
        else:
            allowed = mode if status is None else mode & status.st_mode
            with replacing(output.resolve(), allowed, binary=binary) as out:
                yield out
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}") from error


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None

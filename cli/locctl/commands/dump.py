"""`locctl dump`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from locapi.backup import dump as dumping
from locapi.backup import file_format
from locapi.errors import UnreadableFile
from locapi.settings import Settings
from locapi.storage import mongo
from locapi.storage.documents import FIXES, MINUTES, TOKENS
from locapi.text import quantity
from locctl import progress
from locctl.options import INPUT_FILE, OUTPUT_FILE
from locctl.output import replaced


@click.command()
@click.argument("output", metavar="FILE", type=OUTPUT_FILE)
@click.option(
    "--after",
    "base",
    type=INPUT_FILE,
    metavar="BASE",
    help="Dump only what may have changed since the dump BASE: new raw fixes, and all tokens.",
)
def dump(output: Path, base: Path | None) -> None:
    """Write everything that is stored to FILE; `locctl restore` reads it.

    Fixes may keep arriving. FILE appears only once it is complete. Only its owner can
    read it, as it holds positions.

    \b
    Example:
        locctl dump all.dump
        locctl dump rest.dump --after all.dump
    """
    header = None
    if base:
        with opened(base) as file:
            header = file_format.read_header(file)
    with mongo.open_database(Settings.from_environ()) as database:
        total = 0 if header else dumping.estimate_bytes(database)
        with replaced(output, binary=True, mode=0o600) as out:
            with progress.bar("Dumping", total) as bar:
                counts = dumping.dump(database, out, header, bar.update)
    click.echo(f"Dumped {summary(counts)}.", err=True)


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a dump; an error that it raises names the file."""
    with path.open("rb") as file:
        try:
            yield file
        except UnreadableFile as error:
            raise UnreadableFile(f"{path}: {error}") from error


def summary(counts: dict[str, int]) -> str:
    """Return the numbers of documents in one line."""
    fixes, minutes, tokens = (counts.get(name, 0) for name in (FIXES, MINUTES, TOKENS))
    return ", ".join(
        [
            quantity(fixes, "raw fix"),
            quantity(minutes, "minute"),
            quantity(tokens, "token"),
        ]
    )

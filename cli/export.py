"""`locctl export`."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import click

from locapi import mongo
from locapi.export import WRITERS, read_pages
from locapi.settings import Settings


class _UtcTime(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        try:
            time = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time; write 2017-01-01 or 2017-01-01T18:05:00Z", param, ctx)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


@click.command()
@click.option("--user", "user_id", metavar="USER", help="Only this user's minutes.")
@click.option("--since", type=_UtcTime(), metavar="TIME", help="From this UTC time on.")
@click.option("--until", type=_UtcTime(), metavar="TIME", help="Up to, and without, this UTC time.")
@click.option(
    "--format", "form", type=click.Choice(list(WRITERS)), default="csv", show_default=True
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file, which is there only once it is whole; else to standard output.",
)
def export(
    user_id: str | None,
    since: datetime | None,
    until: datetime | None,
    form: str,
    output: Path | None,
) -> None:
    """Write minute averages, sorted by user and then minute.

    \b
    Example:
        locctl export --user a1 --since 2017-01-01 -o minutes.csv
    """
    with mongo.open_for_reading(Settings.from_environ()) as database, _opened(output) as out:
        WRITERS[form](read_pages(database, user_id, since, until), out)


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
    else:
        try:
            with _replaced(output) as out:
                yield out
        except OSError as error:
            raise click.ClickException(f"cannot write {output}: {error.strerror}") from error


@contextmanager
def _replaced(output: Path) -> Iterator[TextIO]:
    """Yield a temporary file beside `output` that takes its place once all is written."""
    handle, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""`locctl import`."""

import itertools
import json
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from locapi import mongo, readers, schema
from locapi.errors import DatabaseUnavailable, InvalidFix, LocapiError
from locapi.readers.columns import FIELDS, Columns
from locapi.readers.source import STANDARD_INPUT, format_of, opened
from locapi.settings import Settings

if TYPE_CHECKING:
    from locapi.importing import Outcome, Tally

_SHOWN_REASONS = 10


class _Column(click.ParamType[tuple[str, str]]):
    name = "column"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        field, _, name = value.partition("=")
        if field not in FIELDS or not name:
            self.fail(f"{value!r}: write FIELD=NAME, FIELD one of {', '.join(FIELDS)}", param, ctx)
        return field, name


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(readers.MODULES)),
    help="What the FILEs are; else their names tell, or how they begin.",
)
@click.option(
    "--column",
    "columns",
    type=_Column(),
    multiple=True,
    metavar="FIELD=NAME",
    help="The FILEs call this field so, as in lat=latitude. May be given for several.",
)
@click.option("--user", "user_id", metavar="USER", help="Whose the fixes are that name no user.")
@click.option(
    "--accuracy",
    type=click.FloatRange(0, schema.LARGEST),
    metavar="METRES",
    help="The accuracy of fixes that have none.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0, schema.LARGEST),
    metavar="MPS",
    help="The speed, in metres a second, of fixes that have none.",
)
@click.option(
    "--rejects",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the rows that are no fix to this file, as NDJSON: where each stands, and why.",
)
def import_(
    files: tuple[str, ...],
    form: str | None,
    columns: tuple[tuple[str, str], ...],
    user_id: str | None,
    accuracy: float | None,
    speed: float | None,
    rejects: Path | None,
) -> None:
    """Store the fixes in FILEs, as if each were sent to the API, one after the other.

    CSV, NDJSON, GPX, GeoJSON and Google's location history, gzipped too; - is
    standard input. May be repeated and interrupted: a fix that is there stays as it
    is. Exits 0 once every row is stored, a duplicate or rejected.

    \b
    Example:
        locctl import --user a1 --accuracy 10 --speed 0 hike.gpx
        locctl import --rejects rejects.ndjson tracks.csv.gz
    """
    from locapi.importing import Tally

    if user_id is not None and (faults := schema.user_id_faults(user_id)):
        raise click.BadParameter("; ".join(faults), param_hint="--user")
    given = {"user_id": user_id, "accuracy": accuracy, "speed": speed}
    defaults = {field: value for field, value in given.items() if value is not None}
    sizes = [_size(name, form, rejects) for name in files]
    tally = Tally()
    try:
        with (
            _rejecting(rejects) as reject,
            _progress(sizes) as show,
            closing(_imported(files, form, Columns(dict(columns), defaults))) as batches,
        ):
            for name, position, outcomes in batches:
                reject(name, outcomes)
                tally.add(outcomes)
                show(name, position, tally)
    except KeyboardInterrupt:
        click.echo(f"interrupted: {_counts(tally)} so far; run it again to go on", err=True)
        click.get_current_context().exit(128 + signal.SIGINT)
    except LocapiError:
        if tally.rows:
            click.echo(f"{_counts(tally)} so far", err=True)
        raise
    _report(tally, hint=rejects is None)


def _imported(
    files: Iterable[str], form: str | None, columns: Columns
) -> Generator[tuple[str, int, "list[Outcome]"], None, None]:
    """Yield the name of a file, how far it was read, and what became of some rows."""
    from locapi.batches import BatchStore
    from locapi.importing import import_rows

    away = _Away()
    with mongo.open_database(Settings.from_environ()) as database:
        mongo.prepare(database)
        store = BatchStore(database)
        for name in files:
            with (
                opened(name) as source,
                closing(readers.read(source, form or format_of(source), columns)) as rows,
                closing(import_rows(store, rows, away)) as batches,
            ):
                for outcomes in batches:
                    away.is_told = False
                    yield source.name, source.position(), outcomes


class _Away:
    """Tells once that the database is away, until it is back."""

    is_told = False

    def __call__(self, error: DatabaseUnavailable) -> None:
        if not self.is_told:
            click.echo(f"{error}; trying again", err=True)
        self.is_told = True


def _size(name: str, form: str | None, rejects: Path | None) -> int | None:
    """Return a file's size, if it has one, and see that it can be imported before any is."""
    if name == STANDARD_INPUT or Path(name).is_fifo():
        return None  # what is looked at is gone
    with opened(name) as source:
        if form is None:
            format_of(source)
    if rejects is not None and rejects.exists() and rejects.samefile(name):
        raise click.BadParameter(f"{name} is to be read", param_hint="--rejects")
    return source.size


@contextmanager
def _rejecting(path: Path | None) -> Iterator[Callable[[str, "list[Outcome]"], None]]:
    """Yield what writes the rejected rows among those of a file, to disk when it returns."""
    if path is None:
        yield lambda _name, _outcomes: None
        return
    with _written(path), path.open("w", encoding="utf-8") as out:

        def reject(name: str, outcomes: "list[Outcome]") -> None:
            with _written(path):
                out.writelines(_rejected(name, outcomes))
                out.flush()

        yield reject


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error


def _rejected(name: str, outcomes: "list[Outcome]") -> Iterator[str]:
    from locapi.importing import reasons

    for row, verdict in outcomes:
        if isinstance(verdict, InvalidFix):
            reason = "; ".join(reasons(verdict))
            told = {"file": name, "place": row.place, "reason": reason, "row": row.values}
            yield json.dumps(told) + "\n"


@contextmanager
def _progress(sizes: list[int | None]) -> Iterator[Callable[[str, int, "Tally"], None]]:
    """Yield what shows how far it has come, by bytes: on a terminal only."""
    started = time.monotonic()
    reached: dict[str, int] = {}
    known = [size for size in sizes if size is not None]
    with click.progressbar(
        map(str, itertools.count()),  # not gone through: the bar is moved by hand
        length=sum(known) if len(known) == len(sizes) else None,
        label="importing",
        item_show_func=lambda text: text,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as bar:

        def show(name: str, position: int, tally: "Tally") -> None:
            rate = tally.rows / (time.monotonic() - started)
            bar.update(
                position - reached.get(name, 0), f"{tally.rows:,} rows, {rate:,.0f} a second"
            )
            reached[name] = position

        yield show


def _counts(tally: "Tally") -> str:
    return f"{tally.stored:,} stored, {tally.duplicate:,} duplicate, {tally.rejected:,} rejected"


def _report(tally: "Tally", *, hint: bool) -> None:
    """Tell how many rows became what, and the commonest reasons."""
    click.echo(_counts(tally), err=True)
    for reason, count in tally.reasons.most_common(_SHOWN_REASONS):
        click.echo(f"{count:>9,}  {reason}", err=True)
    if more := tally.reasons.most_common()[_SHOWN_REASONS:]:
        rows = sum(count for _, count in more)
        click.echo(f"{rows:>9,}  for {len(more)} other reasons", err=True)
    if tally.rejected and hint:
        click.echo("to see the rows, run it again with --rejects FILE", err=True)

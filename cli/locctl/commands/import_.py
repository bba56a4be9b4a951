"""`locctl import`."""

import itertools
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from locapi.errors import DatabaseUnavailable, LocapiError
from locapi.importers.fields import FieldMapping
from locapi.importers.formats import FORMATS
from locapi.importers.input_file import size_of
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locctl.mapping_options import mapping_options
from locctl.options import OUTPUT_FILE
from locctl.output import say

if TYPE_CHECKING:
    from locapi.importers.importer import Batch, Importer
    from locapi.importers.report import FileReport


@click.command("import")
@click.argument("files", metavar="FILE…", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    metavar="FORMAT",
    help=f"Format of the FILEs: {', '.join(FORMATS)}. Default: detected from content and name.",
)
@mapping_options
@click.option(
    "--rejects",
    type=OUTPUT_FILE,
    help="Write the rejected rows to this file as NDJSON, each with its place and the reason.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON to stdout.")
def import_(
    files: tuple[str, ...],
    form: str | None,
    mapping: FieldMapping,
    rejects: Path | None,
    as_json: bool,
) -> None:
    """Store the fixes in files as if each were sent to the API, in the given order.

    Reads CSV, NDJSON, JSON, GPX, KML, TCX, GeoJSON, Google's location history,
    OwnTracks, Overland and GeoLife, also gzipped or in a zip archive; - is standard
    input. You can interrupt and repeat an import: a fix that is already stored stays
    as it is. Exits 1 if a file cannot be read or no file has a fix.

    \b
    Example:
        locctl import --user a1 hike.gpx
        locctl import --rejects rejects.ndjson tracks.csv.gz
    """
    from locapi.importers import report
    from locapi.importers.importer import Importer
    from locapi.ingest.store import FixStore

    sizes = [_check(name, rejects) for name in files]
    on_retry = _RetryNotice()
    with (
        _rejects_writer(rejects) as write_rejects,
        mongo.open_database(Settings.from_environ()) as database,
    ):
        migrate.prepare(database)
        importer = Importer(FixStore(database), mapping, form, on_retry)
        with (
            _interruptible(importer.reports),
            _progress(sizes, importer) as show,
            closing(importer.import_files(files)) as batches,
        ):
            for batch in batches:
                on_retry.is_shown = False
                write_rejects(batch)
                show(batch)
    if as_json:
        click.echo(json.dumps(report.as_dict(importer.reports)))
    else:
        _print_report(importer.reports, hint_at_rejects=rejects is None)
    if not report.succeeded(importer.reports):
        raise click.exceptions.Exit(1)


def _print_report(reports: list["FileReport"], *, hint_at_rejects: bool) -> None:
    from locapi.importers import report

    for line in report.lines(reports):
        say(line)
    if hint_at_rejects and report.total(reports).rejected:
        say("To see the rejected rows, run it again with --rejects FILE.")


@contextmanager
def _interruptible(reports: list["FileReport"]) -> Iterator[None]:
    """Print how far the import came if it is interrupted or fails."""
    from locapi.importers import report

    try:
        yield
    except KeyboardInterrupt:
        counts = report.counts(report.total(reports))
        say(f"interrupted: {counts} so far. Run it again to go on.")
        raise click.exceptions.Exit(128 + signal.SIGINT) from None
    except LocapiError:
        say(f"{report.counts(report.total(reports))} so far")
        raise


class _RetryNotice:
    """Print once that the database does not answer, until it does."""

    is_shown = False

    def __call__(self, error: DatabaseUnavailable) -> None:
        if not self.is_shown:
            say(f"{error}; trying again")
        self.is_shown = True


def _check(name: str, rejects: Path | None) -> int | None:
    """Check that a file is there and return its size, or None if it has none."""
    size = size_of(name)
    if size is not None and rejects is not None and rejects.exists() and rejects.samefile(name):
        raise click.BadParameter(f"{name} is one of the files to import", param_hint="--rejects")
    return size


@contextmanager
def _rejects_writer(path: Path | None) -> Iterator[Callable[["Batch"], None]]:
    """Yield a function that writes the rejected rows of a batch to the file."""
    if path is None:
        yield lambda _: None
        return
    from locapi.importers import rejects

    with _translate_errors(path), path.open("w", encoding="utf-8") as out:

        def write(batch: "Batch") -> None:
            with _translate_errors(path):
                out.writelines(rejects.lines(batch.file, batch.outcomes))
                out.flush()

        yield write


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def _progress(sizes: list[int | None], importer: "Importer") -> Iterator[Callable[["Batch"], None]]:
    """Yield a function that shows how far the import is, on a terminal only."""
    started = time.monotonic()
    known = [size for size in sizes if size is not None]
    with click.progressbar(
        map(str, itertools.count()),  # never iterated: each call moves the bar
        length=sum(known) if len(known) == len(sizes) else None,
        label="importing",
        item_show_func=lambda text: text,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as bar:

        def show(batch: "Batch") -> None:
            rate = importer.rows / (time.monotonic() - started)
            moved = batch.position - bar.pos
            bar.update(moved, f"{importer.rows:,} rows, {rate:,.0f} a second")

        yield show

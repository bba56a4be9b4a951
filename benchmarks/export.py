"""Measure minutes exported a second, against a loop over a cursor."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TextIO

from pymongo.database import Database

from benchmarks import raw
from benchmarks.harness import Row, Target, interleave
from benchmarks.peers import dump
from benchmarks.serving import scratch
from locapi.exporters.formats import FORMATS
from locapi.exporters.query import read
from locapi.rollup.fold import fold_new_fixes
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import Document

USERS = 100
MINUTES = 150_000
MODULES = {"csv": "csv", "ndjson": "json"}

Write = Callable[[TextIO], None]


def measure() -> list[Row]:
    """Return minutes a second of each format."""
    with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
        migrate.prepare(database)
        # Two fixes a minute.
        raw.receive(database, raw.arriving(USERS, 2 * MINUTES, 30))
        fold_new_fixes(database)
        rates = interleave(
            {
                name: partial(_rate, write, home.directory / "minutes")
                for form in MODULES
                for name, write in _both(database, form).items()
            }
        )
    rows = []
    for form in MODULES:
        peer = Row(
            f"cursor and the {MODULES[form]} module", "minutes a second", rates[f"{form}, cursor"]
        )
        what = f"export to {form}"
        rows += [Row(what, "minutes a second", rates[form], peer, Target(at_least=3)), peer]
    return rows


def _both(database: Database[Document], form: str) -> dict[str, Write]:
    return {
        form: lambda out: FORMATS[form].load()(read(database), out),
        f"{form}, cursor": partial(dump.WRITERS[form], database),
    }


def _rate(write: Write, path: Path) -> float:
    start = time.perf_counter()
    with path.open("w", encoding="utf-8", newline="\n") as out:
        write(out)
    seconds = time.perf_counter() - start
    with path.open("rb") as written:
        lines = sum(1 for line in written if not line.startswith(b"user_id,"))
    if lines != MINUTES:
        raise RuntimeError(f"{lines:,} minutes were written, not {MINUTES:,}")
    return MINUTES / seconds

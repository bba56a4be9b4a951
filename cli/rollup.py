"""`locctl rollup`."""

import time

import click
from pymongo.database import Database

from locapi import mongo
from locapi.errors import DatabaseUnavailable
from locapi.mongo import FIXES, MINUTES, Document
from locapi.rollup import roll_up
from locapi.settings import Settings


@click.command()
@click.option(
    "--watch",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Do it again every SECONDS, until stopped.",
)
def rollup(watch: float | None) -> None:
    """Fold new fixes into minutes.

    May be repeated, interrupted and run several times at once: each fix counts once.

    \b
    Example:
        locctl rollup --watch 60
    """
    with mongo.open_database(Settings.from_environ()) as database:
        if watch is None:
            _once(database)
        while watch is not None:
            try:
                _once(database)
            except DatabaseUnavailable as error:
                click.echo(f"{error}; trying again in {watch:g} s", err=True)
            time.sleep(watch)


def _once(database: Database[Document]) -> None:
    start = time.monotonic()
    mongo.prepare(database)
    roll_up(database)
    seconds = time.monotonic() - start
    with mongo.translated_errors():
        fixes, minutes = (database[name].estimated_document_count() for name in (FIXES, MINUTES))
    click.echo(f"rolled up in {seconds:.2f} s: {fixes:,} raw fixes, {minutes:,} minutes", err=True)

"""`locctl rollup`."""

import time
from datetime import timedelta

import click
from pymongo.database import Database

from cli.durations import Duration
from cli.prune import prune_along
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
@click.option(
    "--prune-older-than",
    type=Duration(),
    metavar="DURATION",
    help="After each, also delete raw fixes received longer ago than this, as `locctl prune` does.",
)
def rollup(watch: float | None, prune_older_than: timedelta | None) -> None:
    """Fold new fixes into minutes.

    May be repeated, interrupted and run several times at once: each fix counts once.

    \b
    Example:
        locctl rollup --watch 60 --prune-older-than 7d
    """
    with mongo.open_database(Settings.from_environ()) as database:
        if watch is None:
            _once(database, prune_older_than)
        while watch is not None:
            try:
                _once(database, prune_older_than)
            except DatabaseUnavailable as error:
                click.echo(f"{error}; trying again in {watch:g} s", err=True)
            time.sleep(watch)


def _once(database: Database[Document], prune_older_than: timedelta | None) -> None:
    start = time.monotonic()
    mongo.prepare(database)
    roll_up(database)
    seconds = time.monotonic() - start
    with mongo.translated_errors():
        fixes, minutes = (database[name].estimated_document_count() for name in (FIXES, MINUTES))
    click.echo(f"rolled up in {seconds:.2f} s: {fixes:,} raw fixes, {minutes:,} minutes", err=True)
    if prune_older_than is not None:
        prune_along(database, prune_older_than)

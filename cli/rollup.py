"""`locctl rollup`."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import click

from cli.durations import Duration
from cli.prune import prune_along
from locapi.errors import DatabaseUnavailable
from locapi.incidents import Incidents
from locapi.settings import Settings

if TYPE_CHECKING:
    from pymongo.database import Database

    from locapi.mongo import Document

_log = logging.getLogger(__name__)
Say = Callable[[str], None]


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
    from locapi import mongo

    with mongo.open_database(Settings.from_environ()) as database:
        if watch is None:
            _once(database, prune_older_than, partial(click.echo, err=True))
        else:
            _again_and_again(database, prune_older_than, watch)


def _again_and_again(
    database: "Database[Document]", prune_older_than: timedelta | None, pause_s: float
) -> None:
    incidents = Incidents(_log, "roll-up")
    while True:
        try:
            _once(database, prune_older_than, _log.info)
        except DatabaseUnavailable as error:
            incidents.failed(str(error), f"{error}; trying again every {pause_s:g} s")
        else:
            incidents.succeeded()
        time.sleep(pause_s)


def _once(database: "Database[Document]", prune_older_than: timedelta | None, say: Say) -> None:
    from locapi import mongo
    from locapi.mongo import FIXES, MINUTES
    from locapi.rollup import roll_up

    start = time.monotonic()
    mongo.prepare(database)
    roll_up(database)
    seconds = time.monotonic() - start
    with mongo.translated_errors():
        fixes, minutes = (database[name].estimated_document_count() for name in (FIXES, MINUTES))
    say(f"rolled up in {seconds:.2f} s: {fixes:,} raw fixes, {minutes:,} minutes")
    if prune_older_than is not None:
        prune_along(database, prune_older_than, say)

"""`locctl rollup`."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

import click
from pymongo.database import Database

from cli.durations import Duration
from cli.prune import prune_along
from locapi import mongo, shares
from locapi.errors import DatabaseUnavailable
from locapi.incidents import Incidents
from locapi.mongo import FIXES, MINUTES, Document
from locapi.rollup import roll_up
from locapi.settings import Settings
from locapi.shares import Watcher
from locapi.windows import ALL

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
    Those that watch one database share the work, and take over from one that dies.

    \b
    Example:
        locctl rollup --watch 60 --prune-older-than 7d
    """
    with mongo.open_database(Settings.from_environ()) as database:
        if watch is None:
            mongo.prepare(database)
            _once(database, prune_older_than, partial(click.echo, err=True))
        else:
            with shares.watching(database) as watcher:
                _again_and_again(database, prune_older_than, watch, watcher)


def _again_and_again(
    database: Database[Document],
    prune_older_than: timedelta | None,
    pause_s: float,
    watcher: Watcher,
) -> None:
    incidents = Incidents(_log, "roll-up")
    prepared = False
    while True:
        try:
            if not prepared:
                mongo.prepare(database)
            _once(database, prune_older_than, _log.info, watcher.share(), watcher.keep)
        except DatabaseUnavailable as error:
            incidents.failed(str(error), f"{error}; trying again every {pause_s:g} s")
            prepared = False  # the database that comes back may be another
        else:
            incidents.succeeded()
            prepared = True
        _pause(pause_s, watcher)


def _pause(seconds: float, watcher: Watcher) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        with suppress(DatabaseUnavailable):
            watcher.keep()
        time.sleep(min(left, watcher.renew_s))


def _once(
    database: Database[Document],
    prune_older_than: timedelta | None,
    say: Say,
    share: Sequence[int] = ALL,
    keep: Callable[[], object] = lambda: None,
) -> None:
    start = time.monotonic()
    roll_up(database, share, keep)
    seconds = time.monotonic() - start
    with mongo.translated_errors():
        fixes, minutes = (database[name].estimated_document_count() for name in (FIXES, MINUTES))
    say(f"rolled up in {seconds:.2f} s: {fixes:,} raw fixes, {minutes:,} minutes")
    if prune_older_than is not None:
        prune_along(database, prune_older_than, say, share, keep)

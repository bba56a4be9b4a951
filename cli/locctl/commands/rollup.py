"""`locctl rollup`."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

import click
from pymongo.database import Database

from locapi import logs
from locapi.errors import DatabaseRefused, DatabaseUnavailable, LocapiError
from locapi.monitoring.error_log import ErrorLog
from locapi.rollup import leases, prune
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.leases import RollupLease
from locapi.rollup.windows import ALL_SLICES
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import Document
from locapi.text import quantity
from locctl.commands.prune import summary
from locctl.options import DURATION, number

_MAX_BACKOFF_S = 60.0

_log = logging.getLogger(__name__)


@click.command()
@click.option(
    "--watch",
    type=number(0, exclusive=True),
    metavar="SECONDS",
    help="Repeat every SECONDS until stopped.",
)
@click.option(
    "--prune-older-than",
    type=DURATION,
    metavar="DURATION",
    help="Each time, also delete raw fixes received longer ago than this, as `locctl prune` does.",
)
def rollup(watch: float | None, prune_older_than: timedelta | None) -> None:
    """Fold new fixes into minutes.

    Safe to repeat, to interrupt and to run several times at once: each fix counts once.
    Roll-ups that watch one database share the work and take over from one that dies.

    \b
    Example:
        locctl rollup --watch 60 --prune-older-than 7d
    """
    with mongo.open_database(Settings.from_environ()) as database:
        if watch is None:
            migrate.prepare(database)
            _roll_up(database, prune_older_than, partial(click.echo, err=True))
        else:
            with leases.rollup_lease(database) as lease:
                _watch(database, prune_older_than, watch, lease)


def _watch(
    database: Database[Document],
    prune_older_than: timedelta | None,
    pause_s: float,
    lease: RollupLease,
) -> None:
    errors = ErrorLog(_log, "roll-up")
    prepared, failures, has_worked = False, 0, False
    while True:
        try:
            if not prepared:
                migrate.prepare(database)
            _roll_up(database, prune_older_than, _log.info, lease.slices(), lease.renew)
        except (DatabaseUnavailable, DatabaseRefused) as error:
            if isinstance(error, DatabaseRefused) and not has_worked:
                raise  # a wrong password, for instance, does not pass
            failures += 1
            wait_s = _backoff(pause_s, failures)
            errors.failed(logs.template(str(error)), f"{error}; trying again in {wait_s:g} s")
            prepared = False  # the database that comes back may be another one
        else:
            errors.succeeded()
            prepared, failures, has_worked, wait_s = True, 0, True, pause_s
        _pause(wait_s, lease)


def _backoff(pause_s: float, failures: int) -> float:
    """Return twice as many seconds after each failure, up to a minute or the pause."""
    return max(pause_s, min(_MAX_BACKOFF_S, pause_s * 2.0 ** min(failures, 10)))


def _pause(seconds: float, lease: RollupLease) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        with suppress(LocapiError):
            lease.renew()
        time.sleep(min(left, lease.renew_s))


def _roll_up(
    database: Database[Document],
    prune_older_than: timedelta | None,
    report: Callable[[str], object],
    slices: Sequence[int] = ALL_SLICES,
    renew: Callable[[], object] = lambda: None,
) -> None:
    """Fold once; with a prune, between the announcement of its horizon and its deletes."""
    horizon = prune.announce(database, prune_older_than) if prune_older_than is not None else None
    begun = time.monotonic()
    new = fold_new_fixes(database, slices, renew)
    seconds = time.monotonic() - begun
    report(f"Folded {quantity(new, 'new fix')} in {seconds:.2f} s.")
    if horizon is not None:
        pruned = prune.delete_old(database, horizon, slices, lambda _: renew())
        if pruned.deleted:
            report(summary(pruned))

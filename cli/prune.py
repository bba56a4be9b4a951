"""`locctl prune`."""

import sys
from collections.abc import Callable, Sequence
from datetime import timedelta

import click
from pymongo.database import Database

from cli.durations import Duration
from locapi import mongo
from locapi import prune as pruning
from locapi.mongo import Document
from locapi.settings import Settings


@click.command()
@click.option(
    "--older-than",
    required=True,
    type=Duration(),
    metavar="DURATION",
    help="Raw fixes received longer ago than this: 90s, 15m, 36h, 7d.",
)
@click.option("--dry-run", is_flag=True, help="Delete nothing and fold nothing; only tell.")
def prune(older_than: timedelta, dry_run: bool) -> None:
    """Delete old raw fixes, each only once its minute counts it.

    What is not folded yet is folded first. May be stopped at any moment,
    repeated, and run several times at once; minutes stay exact.

    \b
    Example:
        locctl prune --older-than 7d
    """
    with mongo.open_database(Settings.from_environ()) as database:
        mongo.prepare(database)
        total = pruning.old_fixes(database, older_than)
        hidden = not sys.stderr.isatty()
        with click.progressbar(
            length=total, label="Pruning", file=sys.stderr, hidden=hidden
        ) as bar:
            done = pruning.prune(
                database, older_than, dry_run=dry_run, progress=lambda fixes: bar.update(fixes)
            )
    click.echo(summary(done, dry_run=dry_run), err=True)


def prune_along(
    database: Database[Document],
    older_than: timedelta,
    say: Callable[[str], None],
    share: Sequence[int],
    keep: Callable[[], object],
) -> None:
    """Prune a share once more, and tell only if anything was deleted."""
    done = pruning.prune(database, older_than, share, progress=lambda _: keep())
    if done.deleted:
        say(summary(done))


def summary(done: pruning.Pruned, *, dry_run: bool = False) -> str:
    """Return in one line what was deleted and what was kept, and why."""
    kept = f"{done.newer:,} kept because they are newer"
    if done.unproven:
        kept += f", {done.unproven:,} because they are not in their minute"
        kept += " yet" if dry_run else "; see `locctl verify`"
    return f"{done.deleted:,} raw fixes {'would be ' if dry_run else ''}deleted, {kept}"

"""`locctl prune`."""

from datetime import timedelta

import click

from locapi.rollup import fold
from locapi.rollup import prune as pruning
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.text import quantity
from locctl import progress
from locctl.options import DURATION


@click.command()
@click.option(
    "--older-than",
    required=True,
    type=DURATION,
    metavar="DURATION",
    help="Delete raw fixes received longer ago than this: 90s, 15m, 36h, 7d.",
)
@click.option("--dry-run", is_flag=True, help="Only report; fold and delete nothing.")
def prune(older_than: timedelta, dry_run: bool) -> None:
    """Delete old raw fixes that are folded into their minutes.

    Fixes that are not folded yet are folded first. Safe to interrupt, to repeat and to run
    several times at once: minutes stay exact.

    \b
    Example:
        locctl prune --older-than 7d
    """
    with mongo.open_database(Settings.from_environ()) as database:
        migrate.prepare(database)
        with progress.bar("Pruning", pruning.count_old(database, older_than)) as bar:
            if dry_run:
                done = pruning.preview(database, older_than, bar.update)
            else:
                horizon = pruning.announce(database, older_than)
                fold.fold_new_fixes(database)
                done = pruning.delete_old(database, horizon, progress=bar.update)
    click.echo(summary(done, dry_run=dry_run), err=True)


def summary(done: pruning.Pruned, *, dry_run: bool = False) -> str:
    """Return in one line what was deleted and what was kept, and why."""
    delete, keep = ("Would delete", "keep") if dry_run else ("Deleted", "kept")
    line = f"{delete} {quantity(done.deleted, 'raw fix')}; {keep} {done.newer:,} newer"
    if done.unproven:
        advice = "are not folded yet" if dry_run else "are not in their minutes: see locctl verify"
        line += f" and {done.unproven:,} that {advice}"
    if done.quarantined:
        line += f" and {done.quarantined:,} of minutes in quarantine: see locctl status"
    return f"{line}."

"""`locctl restore`."""

from pathlib import Path

import click
from pymongo.database import Database

from locapi.backup import restore as restoring
from locapi.backup.differences import find_differences
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import Document
from locapi.text import quantity
from locctl import progress
from locctl.commands.dump import opened, summary
from locctl.options import INPUT_FILE
from locctl.output import row, say


@click.command()
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=INPUT_FILE)
@click.option("--check", is_flag=True, help="Store nothing; compare the database with the dumps.")
def restore(files: tuple[Path, ...], check: bool) -> None:
    """Store the dumps that `locctl dump` wrote.

    The database is empty, or one that they were restored into before. A restore may be
    interrupted and repeated, and fixes may arrive meanwhile. With --check, print a line for
    each document that is missing or different; exit 1 if there is one.

    \b
    Example:
        locctl restore all.dump rest.dump
        locctl restore --check all.dump rest.dump
    """
    with mongo.open_database(Settings.from_environ()) as database:
        if check:
            different = sum(_check(database, file) for file in files)
            click.echo(f"{quantity(different, 'document')} missing or different.", err=True)
            raise SystemExit(1 if different else 0)
        migrate.prepare(database)
        for file in files:
            _restore(database, file)


def _restore(database: Database[Document], path: Path) -> None:
    total = restoring.PASSES * path.stat().st_size
    with opened(path) as file:
        with progress.bar("Restoring", total) as bar:
            counts = restoring.restore(database, file, bar.update)
    say(f"Restored {summary(counts)} from {path}.")


def _check(database: Database[Document], path: Path) -> int:
    different = 0
    with opened(path) as file:
        for line in find_differences(database, file):
            row(*line.split("\t"))
            different += 1
    return different

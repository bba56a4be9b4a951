"""`locctl restore`."""

from pathlib import Path

import click
from pymongo.database import Database

from cli import progress
from cli.dump import told
from locapi import mongo
from locapi import restore as restoring
from locapi.mongo import Document
from locapi.settings import Settings


@click.command()
@click.argument(
    "files",
    metavar="FILE…",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
)
@click.option("--check", is_flag=True, help="Store nothing; tell what of FILE… is not there.")
def restore(files: tuple[Path, ...], check: bool) -> None:
    """Store what `locctl dump` wrote, into an empty database or one that it was restored to.

    May be interrupted and repeated. With --check, each document that lacks is a
    line on standard output; exits 1 if there is any. Fixes may arrive meanwhile.

    \b
    Example:
        locctl restore all.dump rest.dump
        locctl restore --check all.dump rest.dump
    """
    with mongo.open_database(Settings.from_environ()) as database:
        if check:
            lacking = sum(_check(database, file) for file in files)
            click.echo(f"{lacking:,} of what was dumped is not there", err=True)
            raise SystemExit(1 if lacking else 0)
        mongo.prepare(database)
        for file in files:
            _restore(database, file)


def _restore(database: Database[Document], path: Path) -> None:
    length = 2 * path.stat().st_size
    with path.open("rb") as file:
        with progress.bar("Restoring", length) as bar:
            counts = restoring.restore(database, file, bar.update)
    click.echo(f"{path}: {told(counts)}", err=True)


def _check(database: Database[Document], path: Path) -> int:
    lacking = 0
    with path.open("rb") as file:
        for line in restoring.missing(database, file):
            click.echo(line)
            lacking += 1
    return lacking

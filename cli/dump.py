"""`locctl dump`."""

import sys
from pathlib import Path

import click

from cli.output import replaced
from locapi import dump as dumping
from locapi import dump_file, mongo
from locapi.settings import Settings

_A_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("output", metavar="FILE", type=_A_FILE)
@click.option(
    "--after",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="FIRST",
    help="Only what came since that dump was begun: raw fixes, and all tokens.",
)
def dump(output: Path, after: Path | None) -> None:
    """Write all that is stored to FILE, to be restored into another database.

    Fixes may go on arriving meanwhile. FILE is there only once it is whole, and
    for its owner only: it holds positions.

    \b
    Example:
        locctl dump all.dump
        locctl dump rest.dump --after all.dump
    """
    header = None
    if after:
        with after.open("rb") as file:
            header = dump_file.read_header(file)
    with mongo.open_database(Settings.from_environ()) as database:
        total = dumping.size(database, header)
        with replaced(output, binary=True, mode=0o600) as out:
            with click.progressbar(length=total, label="Dumping", file=sys.stderr) as bar:
                counts = dumping.dump(database, out, header, bar.update)
    click.echo(told(counts), err=True)


def told(counts: dict[str, int]) -> str:
    """Return in one line how many documents there were."""
    return (
        f"{counts.get('fixes', 0):,} raw fixes, {counts.get('minutes', 0):,} minutes, "
        f"{counts.get('tokens', 0):,} tokens"
    )

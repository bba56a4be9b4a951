"""`locctl init`."""

import click

from locapi import mongo
from locapi.init import Difference, bring_about
from locapi.settings import Settings


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if anything differs.")
def init(check: bool) -> None:
    """Make the database's collections, indexes, validators and shard keys what they should be.

    Each difference is a line on standard output: collection and what differs, separated
    by a tab. Exits 1 if one is left. May be repeated, while all else runs.

    Serving and rolling up need it only on a sharded cluster: else they make what they
    need themselves, but for the validators. It asks for more rights than they: the role
    dbAdmin, and on a sharded cluster clusterManager.

    \b
    Example:
        locctl init --check
    """
    differences = left = 0
    with mongo.open_database(Settings.from_environ()) as database:
        for difference in bring_about(database, check=check):
            click.echo(f"{difference.collection}\t{difference.what}{_note(difference)}")
            differences += 1
            left += not (difference.mended or difference.harmless)
    click.echo(f"{differences} differences, {left} left to mend", err=True)
    if left:
        raise SystemExit(1)


def _note(difference: Difference) -> str:
    if difference.mended:
        return " (mended)"
    return " (harmless)" if difference.harmless else ""

"""`locctl init`."""

import click

from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.text import quantity
from locctl.output import row


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if anything differs.")
def init(check: bool) -> None:
    """Create or check collections, indexes, validators and shard keys.

    Each difference is a line on stdout: collection and difference, separated by a tab.
    Exits 1 if one is left. Safe to repeat, and while everything else runs.

    Only a sharded cluster needs this command: elsewhere the API and the roll-up create what
    they need, except the validators. It needs the role dbAdmin, and on a sharded cluster
    clusterManager too.

    \b
    Example:
        locctl init --check
    """
    differences = left = 0
    with mongo.open_database(Settings.from_environ()) as database:
        for difference in migrate.reconcile(database, check=check):
            note = " (repaired)" if difference.repaired else ""
            row(difference.collection, f"{difference.what}{note}")
            differences += 1
            left += not difference.repaired
    advice = ": run `locctl init`" if left and check else ""
    click.echo(f"{quantity(differences, 'difference')}, {left:,} left to repair{advice}", err=True)
    if left:
        raise SystemExit(1)

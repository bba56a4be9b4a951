"""`locctl erase`."""

import sys
from functools import partial

import click

from locapi.rollup.erase import erase as erase_user
from locapi.rollup.erase import is_known
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.text import printable, quantity
from locctl.options import USER_ID


@click.command()
@click.argument("user_id", type=USER_ID, metavar="USER")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation on a terminal.")
def erase(user_id: str, yes: bool) -> None:
    """Remove a user: raw fixes, minutes, deduplication records, rejects and tokens.

    The tokens of USER are deleted first; an API may still accept them for half a minute.

    Safe while fixes of USER arrive and while a roll-up runs. If it is interrupted, repeat it.
    Exits 1 if nothing of USER is stored.

    \b
    Example:
        locctl erase a1
    """
    with mongo.open_database(Settings.from_environ()) as database:
        migrate.prepare(database)
        if not is_known(database, user_id):
            raise click.ClickException(f"no such user: {printable(user_id)}")
        if sys.stdin.isatty() and not yes:
            what = f"raw fixes, minutes, rejects and tokens of user {printable(user_id)}"
            click.confirm(f"Remove all {what}?", abort=True, err=True)
        erased = erase_user(database, user_id, partial(click.echo, err=True))
    fixes = quantity(erased.fixes, "raw fix")
    click.echo(f"Removed {fixes} and {quantity(erased.minutes, 'minute')}.", err=True)

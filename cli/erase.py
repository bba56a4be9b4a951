"""`locctl erase`."""

import click

from locapi import mongo
from locapi.erase import erase as erase_user
from locapi.settings import Settings


@click.command()
@click.argument("user_id", metavar="USER")
def erase(user_id: str) -> None:
    """Remove all that was received of USER so far: raw fixes, minutes, and memory of both.

    Tokens of USER, which bear the name, are removed first; workers may go by what
    they know of them for half a minute more.

    Safe while fixes of USER arrive and while a roll-up runs. Where it is cut off, do it again.

    \b
    Example:
        locctl erase a1
    """
    with mongo.open_database(Settings.from_environ()) as database:
        mongo.prepare(database)
        erased = erase_user(database, user_id)
    click.echo(f"{erased.fixes:,} raw fixes and {erased.minutes:,} minutes removed", err=True)

"""`locctl token`."""

from datetime import timedelta

import click

from locapi.ingest import tokens
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import Reads
from locapi.times import format_time, utc_now
from locctl.options import DURATION, USER_ID
from locctl.output import row


@click.group()
def token() -> None:
    """Manage API tokens, which clients need if the API runs with LOCAPI_AUTH=token.

    \b
    Example:
        locctl token add --user a1 --expires 90d
    """


@token.command(short_help="Create and print a token.")
@click.option(
    "--user",
    "user_id",
    type=USER_ID,
    metavar="USER",
    help="User whose fixes the token may send.",
)
@click.option("--read", is_flag=True, help="Also let it read the minutes of USER.")
@click.option(
    "--read-all", is_flag=True, help="Let it read all minutes and send nothing. Without --user."
)
@click.option(
    "--expires",
    type=DURATION,
    metavar="DURATION",
    help="Expire after this time, such as 36h or 90d. Default: never.",
)
def add(user_id: str | None, read: bool, read_all: bool, expires: timedelta | None) -> None:
    """Create and print a token that may send fixes of USER, or read minutes.

    Only a hash is stored, so it cannot be printed again. A user may have several tokens,
    such as one for each phone.

    \b
    Example:
        locctl token add --user a1 --expires 90d
        locctl token add --read-all
    """
    if read_all == (user_id is not None) or (read and read_all):
        raise click.UsageError("give --user, with or without --read, or --read-all alone")
    if expires == timedelta(0):
        raise click.BadParameter("0 is too short. Write a longer time.", param_hint="--expires")
    with mongo.open_database(Settings.from_environ()) as database:
        migrate.prepare(database)
        reads: Reads | None = "all" if read_all else "own" if read else None
        made = tokens.add(database, user_id or "", expires, reads=reads)
    click.echo(made)
    click.echo("Save it now: it cannot be shown again.", err=True)


@token.command("list")
@click.option(
    "--user", "user_id", type=USER_ID, metavar="USER", help="List only this user's tokens."
)
def list_(user_id: str | None) -> None:
    """List tokens, without their secrets, sorted by user and age.

    Each is a line, with columns separated by tabs: id, user, created, expires, state, and
    whose minutes it reads.

    \b
    Example:
        locctl token list --user a1
    """
    now = utc_now()
    with mongo.open_database(Settings.from_environ()) as database:
        click.echo("id\tuser\tcreated\texpires\tstate\treads")
        for each in tokens.find(database, user_id):
            created = format_time(each.created_at)
            expires = "never" if each.expires_at is None else format_time(each.expires_at)
            reads = each.reads or "none"
            row(each.id, each.user_id, created, expires, each.state(now), reads)


@token.command()
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """Revoke the token with this ID for ever.

    Every worker of the API rejects it within half a minute. The ID is in `locctl token list`,
    and between the underscores of the token itself. Exits 1 if there is no such token.

    \b
    Example:
        locctl token revoke 5d3f0c9ab7e21846
    """
    with mongo.open_database(Settings.from_environ()) as database:
        if not tokens.revoke(database, token_id):
            # The argument is not repeated, as it may be a token with its secret.
            raise click.ClickException("there is no token with this id. See `locctl token list`.")
    click.echo("Revoked. Every worker rejects it within half a minute.", err=True)

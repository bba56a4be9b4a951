"""`locctl token`."""

from datetime import datetime, timedelta
from typing import Any

import click

from cli.durations import Duration
from locapi import mongo, schema, tokens
from locapi.settings import Settings


class _UserId(click.ParamType[str]):
    name = "user"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if faults := schema.user_id_faults(value):
            self.fail("; ".join(faults), param, ctx)
        return str(value)


@click.group()
def token() -> None:
    """Say who may send: make, list and revoke tokens, which LOCAPI_AUTH=token asks for.

    \b
    Example:
        locctl token add --user a1 --expires 90d
    """


@token.command()
@click.option(
    "--user", "user_id", required=True, type=_UserId(), metavar="USER", help="Whose fixes."
)
@click.option(
    "--expires",
    type=Duration(),
    metavar="DURATION",
    help="Refuse it after this time: 36h, 90d; else it is good until it is revoked.",
)
def add(user_id: str, expires: timedelta | None) -> None:
    """Make a token with which fixes of USER may be sent, and print it, this once.

    Only a hash of it is kept. A user may have several, as one a phone.

    \b
    Example:
        locctl token add --user a1 --expires 90d
    """
    if expires == timedelta(0):
        raise click.BadParameter("must be longer than that", param_hint="--expires")
    with mongo.open_database(Settings.from_environ()) as database:
        mongo.prepare(database)
        made = tokens.add(database, user_id, expires)
    click.echo(made)
    click.echo("keep it now: it cannot be shown again", err=True)


@token.command("list")
@click.option("--user", "user_id", type=_UserId(), metavar="USER", help="Only this user's.")
def list_(user_id: str | None) -> None:
    """Write all tokens, without their secrets, sorted by user and age.

    A line each, separated by tabs: id, user, created, expires, state.

    \b
    Example:
        locctl token list --user a1
    """
    now = tokens.utc_now()
    with mongo.open_database(Settings.from_environ()) as database:
        click.echo("id\tuser\tcreated\texpires\tstate")
        for each in tokens.find(database, user_id):
            expires = "never" if each.expires_at is None else _text(each.expires_at)
            cells = each.id, each.user_id, _text(each.created_at), expires, each.state(now)
            click.echo("\t".join(cells))


@token.command()
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """Refuse the token of this ID from now on, for ever.

    Every worker of the API knows within half a minute. The ID is in `locctl token list`
    and in the token itself, between its underscores. Exits 1 if there is none.

    \b
    Example:
        locctl token revoke 5d3f0c9ab7e21846
    """
    with mongo.open_database(Settings.from_environ()) as database:
        if not tokens.revoke(database, token_id):
            # What was given may be a whole token: it is not repeated.
            raise click.ClickException("there is no token of this id; see `locctl token list`")
    click.echo("revoked: refused everywhere in half a minute", err=True)


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")

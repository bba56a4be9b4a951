"""`locctl rejects`."""

import json
from collections import Counter
from typing import Any

import click

from locapi.ingest import rejects as kept
from locapi.settings import Settings
from locapi.storage import mongo
from locapi.times import format_time
from locctl.options import USER_ID
from locctl.output import row, say


@click.command()
@click.option(
    "--user", "user_id", type=USER_ID, metavar="USER", help="List only this user's rejects."
)
@click.option("--json", "as_json", is_flag=True, help="Print each reject as a line of JSON.")
def rejects(user_id: str | None, as_json: bool) -> None:
    """List invalid fixes that were kept, and why they are invalid, the newest first.

    Each is a line, with columns separated by tabs: received, endpoint, user, reason, content.
    A summary by reason goes to stderr.

    Invalid fixes from OwnTracks and Overland are always kept, those from other clients only
    with LOCAPI_KEEP_REJECTS=all. They are kept for LOCAPI_REJECTS_DAYS, at most 1,000 a user
    and day.

    \b
    Example:
        locctl rejects --user a1
    """
    counts = Counter[str]()
    with mongo.open_for_reading(Settings.from_environ()) as database:
        for each in kept.find(database, user_id):
            if as_json:
                click.echo(json.dumps(_as_dict(each)))
            else:
                if not counts:
                    click.echo("received\tendpoint\tuser\treason\tcontent")
                row(*_as_dict(each).values())
            counts[kept.reason_without_value(each)] += 1
    for reason, count in counts.most_common():
        say(f"{count:>9,}  {reason}")


def _as_dict(reject: dict[str, Any]) -> dict[str, str]:
    return {
        "received": format_time(reject["received_at"]),
        "endpoint": reject["endpoint"],
        "user": reject["user_id"],
        "reason": reject["reason"],
        "content": reject["content"],
    }

"""`locctl status`."""

import dataclasses
import json
from datetime import timedelta
from typing import Any

import click

from cli import live, screen
from cli.durations import Duration
from locapi import attention, status
from locapi.attention import Reason
from locapi.settings import Settings
from locapi.status import Status


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object instead.")
@click.option(
    "--max-lag",
    type=Duration(),
    default="10m",
    show_default=True,
    metavar="DURATION",
    help="How long fixes may wait for the roll-up before that needs attention.",
)
@click.option(
    "--watch",
    type=click.FloatRange(min=1),
    is_flag=False,
    flag_value=2.0,
    metavar="[SECONDS]",
    help="Look again every SECONDS, 2 if not given, until stopped, and show the pace.",
)
@click.option(
    "--api", metavar="URL", help="With --watch: also show what the API at this address answers."
)
def show_status(as_json: bool, max_lag: timedelta, watch: float | None, api: str | None) -> None:
    """Show how things are, and what needs attention; exit 1 if anything does.

    It reads only, and quickly however much is stored.

    \b
    Example:
        locctl status
        locctl status --watch 5 --api http://127.0.0.1:5000
    """
    if watch is not None and as_json:
        raise click.UsageError("--json is for one look; leave out --watch")
    if watch is None and api is not None:
        raise click.UsageError("--api needs --watch")
    settings = Settings.from_environ()
    if watch is not None:
        live.watch(settings, watch, max_lag, api)
    found = status.look(settings)
    reasons = attention.judge(found, max_lag)
    if as_json:
        click.echo(as_object(found, reasons))
    else:
        for line in screen.lines(found, reasons):
            click.echo(screen.coloured(line))
    if reasons:
        raise SystemExit(1)


def as_object(found: Status, reasons: list[Reason]) -> str:
    """Return all that was found and what needs attention, as JSON; the manual names each key."""
    told: dict[str, Any] = {
        "ok": not reasons,
        "attention": [reason._asdict() for reason in reasons],
        "reachable": found.fault is None,
        **dataclasses.asdict(found),
    }
    for internal in ("fault", "refused"):  # they are among the reasons
        del told[internal]
    return json.dumps(told, default=screen.time_text)

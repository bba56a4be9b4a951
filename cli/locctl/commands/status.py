"""`locctl status`."""

import dataclasses
import json
import sys
import time
from datetime import timedelta
from typing import Any, NoReturn

import click

from locapi.monitoring import health_checks, status
from locapi.monitoring.health_checks import Problem
from locapi.monitoring.sampler import Sampler
from locapi.monitoring.status import Status
from locapi.settings import Settings
from locapi.times import format_time
from locctl import screen, status_report
from locctl.options import DURATION, number
from locctl.output import row

_MAX_SLEEP_S = 1e9  # the system refuses a time that is too far away


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of text.")
@click.option(
    "--max-lag",
    type=DURATION,
    default="10m",
    show_default=True,
    metavar="DURATION",
    help="Report a problem if fixes have waited longer than this for the roll-up.",
)
@click.option(
    "--watch",
    type=number(1),
    is_flag=False,
    flag_value=2.0,
    metavar="[SECONDS]",
    help="Refresh every SECONDS, 1 or more (default: 2), and show rates. Ctrl-C stops it.",
)
@click.option("--api", metavar="URL", help="With --watch: show the responses of the API at URL.")
def show_status(as_json: bool, max_lag: timedelta, watch: float | None, api: str | None) -> None:
    """Show what is stored and what needs attention; exit 1 if there is a problem.

    It only reads, and it is fast however much is stored.

    \b
    Example:
        locctl status
        locctl status --watch 5 --api http://127.0.0.1:5000
    """
    if watch is not None and as_json:
        raise click.UsageError("--json cannot be combined with --watch. Leave out one of the two.")
    if watch is None and api is not None:
        raise click.UsageError("--api needs --watch")
    settings = Settings.from_environ()
    if watch is not None:
        _watch(settings, watch, max_lag, api)
    found = status.check(settings)
    problems = health_checks.find_problems(found, max_lag)
    if as_json:
        click.echo(to_json(found, problems))
    else:
        for line in status_report.lines(found, problems):
            click.echo(line.styled())
    if problems:
        raise SystemExit(1)


def _watch(settings: Settings, pause_s: float, max_lag: timedelta, api: str | None) -> NoReturn:
    """Show samples until stopped: on a terminal in place, elsewhere one a line."""
    with status.open_existing(settings) as database:
        sampler = Sampler(database, status.where(settings), max_lag, api)
        terminal = screen.Screen(sys.stdout) if screen.can_replace(sys.stdout) else None
        while True:
            sample = sampler.sample()
            if terminal is None:
                row(status_report.one_line(sample))
            else:
                terminal.show(status_report.live_lines(sample))
            time.sleep(min(pause_s, _MAX_SLEEP_S))


def to_json(found: Status, problems: list[Problem]) -> str:
    """Return the status as JSON; docs/REFERENCE.md documents each key."""
    values: dict[str, Any] = {
        "ok": not problems,
        "attention": [problem._asdict() for problem in problems],
        "reachable": found.error is None,
        **dataclasses.asdict(found),
    }
    for internal in ("error", "refused"):  # reported as a problem
        del values[internal]
    return json.dumps(values, default=format_time)

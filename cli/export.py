"""`locctl export`."""

import sys
from datetime import datetime, timedelta
from pathlib import Path

import click

from cli.durations import Resolution, UtcTime
from cli.output import opened
from locapi import mongo
from locapi.errors import Misconfigured
from locapi.export import read
from locapi.settings import Settings
from locapi.writers import FORMATS, guess


@click.command()
@click.option("--user", "user_id", metavar="USER", help="Only this user's minutes.")
@click.option("--since", type=UtcTime(), metavar="TIME", help="From this UTC time on.")
@click.option("--until", type=UtcTime(), metavar="TIME", help="Up to, and without, this UTC time.")
@click.option(
    "--resolution",
    "span",
    type=Resolution(),
    default="1m",
    show_default=True,
    metavar="DURATION",
    help="Average over this much of UTC, such as 5m, 1h or 1d.",
)
@click.option("--local-time", is_flag=True, help="Add the wall time at the position.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    help="Default: what the file's name ends in; csv on standard output.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file, which is there only once it is whole; else to standard output.",
)
def export(
    user_id: str | None,
    since: datetime | None,
    until: datetime | None,
    span: timedelta,
    local_time: bool,
    form: str | None,
    output: Path | None,
) -> None:
    """Write minute averages, sorted by user and then minute.

    \b
    Example:
        locctl export --user a1 --since 2017-01-01 -o minutes.parquet
    """
    name = form or ("csv" if output is None else guess(output))
    chosen = FORMATS[name]
    if local_time and not chosen.rows:
        raise Misconfigured(f"{name} has no place for --local-time; csv, parquet and geojson have")
    if chosen.binary and output is None and sys.stdout.isatty():
        raise Misconfigured(f"{name} is not for a terminal; name a file by -o, or pipe it on")
    write = chosen.load()
    with mongo.open_for_reading(Settings.from_environ()) as database:
        minutes = read(database, user_id, since, until, span, local_time)
        with opened(output, binary=chosen.binary) as out:
            write(minutes, out)

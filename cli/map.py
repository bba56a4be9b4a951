"""`locctl map`."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click
from pymongo.database import Database

from cli.durations import UtcTime
from cli.output import opened
from locapi import mongo
from locapi.export import Page, read_pages
from locapi.mongo import Document
from locapi.settings import Settings


@click.command("map")
@click.option(
    "--user", "user_ids", multiple=True, metavar="USER", help="Only this user; may be repeated."
)
@click.option("--since", type=UtcTime(), metavar="TIME", help="From this UTC time on.")
@click.option("--until", type=UtcTime(), metavar="TIME", help="Up to, and without, this UTC time.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file, which is there only once it is whole; else to standard output.",
)
def draw_map(
    user_ids: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    output: Path | None,
) -> None:
    """Write an HTML page that shows tracks on a map; it needs no network.

    \b
    Example:
        locctl map --user a1 --since 2017-01-01 -o map.html
    """
    from locapi.map import render
    from locapi.tracks import gather

    with mongo.open_for_reading(Settings.from_environ()) as database, opened(output) as out:
        gathered = gather(_pages(database, user_ids, since, until))
        out.write(render(gathered))
    click.echo(f"{len(gathered.tracks):,} tracks of {gathered.minutes:,} minutes", err=True)


def _pages(
    database: Database[Document],
    user_ids: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
) -> Iterator[Page]:
    chosen: list[str | None] = [*sorted(set(user_ids), key=str.encode)] or [None]
    for user_id in chosen:
        yield from read_pages(database, user_id, since, until)

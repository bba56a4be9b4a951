"""`locctl map`."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click
from pymongo.database import Database

from locapi.exporters.query import Page, read_pages
from locapi.settings import Settings
from locapi.storage import mongo
from locapi.storage.documents import Document
from locapi.text import quantity
from locctl.options import USER_ID, output_option, window_options
from locctl.output import NO_MINUTES, opened, say


@click.command("map")
@click.option(
    "--user",
    "user_ids",
    type=USER_ID,
    multiple=True,
    metavar="USER",
    help="Show only this user's minutes. May be repeated.",
)
@window_options
@output_option
def draw_map(
    user_ids: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    output: Path | None,
) -> None:
    """Draw tracks on a map, in an HTML file that works offline.

    \b
    Example:
        locctl map --user a1 --since 2017-01-01 -o map.html
    """
    from locapi.map.columns import collect
    from locapi.map.page import render

    with mongo.open_for_reading(Settings.from_environ()) as database, opened(output) as out:
        data = collect(_pages(database, user_ids, since, until))
        out.write(render(data))
    tracks = quantity(len(data.tracks), "track")
    click.echo(f"Wrote {tracks} with {quantity(data.minutes, 'minute')}.", err=True)
    if not data.minutes:
        say(NO_MINUTES)


def _pages(
    database: Database[Document],
    user_ids: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
) -> Iterator[Page]:
    chosen: list[str | None] = [*sorted(set(user_ids), key=str.encode)] or [None]
    for user_id in chosen:
        yield from read_pages(database, user_id, since, until)

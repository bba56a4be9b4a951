"""`locctl export`."""

import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from pymongo.database import Database

from locapi.errors import Misconfigured, require_extra
from locapi.exporters.changes import START, Token, read_changes
from locapi.exporters.formats import FORMATS, Format, Write, format_of
from locapi.exporters.query import Page, add_local_time, read
from locapi.settings import Settings
from locapi.storage import mongo
from locapi.storage.documents import Document
from locapi.times import MINUTE
from locctl import change_token
from locctl.options import (
    CHANGE_TOKEN,
    OUTPUT_FILE,
    RESOLUTION,
    USER_ID,
    output_option,
    window_options,
)
from locctl.output import NO_MINUTES, opened, say

Export = Callable[[Database[Document], Token], Token]

_WITH_DATASET = ("directory", "token", "token_file")


class _Pages:
    """Pages that note whether there are any."""

    def __init__(self, pages: Iterable[Page]) -> None:
        self._pages = pages
        self.are_none = True

    def __iter__(self) -> Iterator[Page]:
        for page in self._pages:
            self.are_none = False
            yield page


@click.command()
@click.option(
    "--user", "user_id", type=USER_ID, metavar="USER", help="Export only this user's minutes."
)
@window_options
@click.option(
    "--resolution",
    "span",
    type=RESOLUTION,
    default="1m",
    show_default=True,
    metavar="DURATION",
    help="Average over buckets of this length in UTC, such as 5m, 1h or 1d.",
)
@click.option("--local-time", is_flag=True, help="Add a column with the local time.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    help="Output format. Default: by the extension of the output file; csv on stdout.",
)
@click.option(
    "--quote-formulas",
    is_flag=True,
    help="In CSV, put an apostrophe before each user_id that a spreadsheet would run.",
)
@click.option(
    "--changed-since",
    "token",
    type=CHANGE_TOKEN,
    metavar="TOKEN",
    help="Export only what changed since the export that printed TOKEN; start exports everything.",
)
@click.option(
    "--token-file",
    type=OUTPUT_FILE,
    metavar="FILE",
    help="Export only what changed since the token in FILE, then replace the token. "
    "Without FILE, export everything.",
)
@click.option(
    "--dataset",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write a Parquet file for each UTC date into this directory.",
)
@output_option
@click.pass_context
def export(
    ctx: click.Context,
    /,
    token: Token | None,
    token_file: Path | None,
    directory: Path | None,
    **options: Any,
) -> None:
    """Write minutes, sorted by user and time.

    \b
    Examples:
        locctl export --user a1 --since 2017-01-01 -o minutes.parquet
        locctl export --token-file changes.token -o changes.ndjson
        locctl export --token-file minutes.token --dataset minutes
    """
    following = token is not None or token_file is not None
    if directory is not None:
        _refuse_other_options(ctx)
        run = _dataset(directory)
    else:
        run = _file(following=following, **options)
    if token is not None and token_file is not None:
        raise Misconfigured(
            "--changed-since cannot be combined with --token-file. Leave out one of the two."
        )
    since = change_token.read(token_file) if token_file is not None else token or START
    with mongo.open_for_reading(Settings.from_environ()) as database:
        reached = run(database, since)
    if following:
        change_token.keep(reached, token_file)


def _refuse_other_options(ctx: click.Context) -> None:
    for option in ctx.command.params:
        given = ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and option.name not in _WITH_DATASET:
            raise Misconfigured(
                f"--dataset cannot be combined with {option.opts[-1]}. Leave out one of the two."
            )


def _dataset(directory: Path) -> Export:
    with require_extra("export"):
        from locapi.exporters import dataset

    return lambda database, token: dataset.update(database, directory, token)


def _file(
    *,
    following: bool,
    user_id: str | None,
    since: datetime | None,
    until: datetime | None,
    span: timedelta,
    local_time: bool,
    form: str | None,
    quote_formulas: bool,
    output: Path | None,
) -> Export:
    """Return a function that writes a file or stdout."""
    name = form or ("csv" if output is None else format_of(output))
    chosen = FORMATS[name]
    _check(name, chosen, local_time, output)
    if following:
        _check_changes(name, chosen, span)
    write = _writer(name, chosen, quote_formulas)

    def run(database: Database[Document], token: Token) -> Token:
        if following:
            minutes, token = read_changes(database, token, user_id, (since, until))
            minutes = add_local_time(minutes) if local_time else minutes
        else:
            minutes = read(database, user_id, since, until, span, local_time)
        pages = _Pages(minutes.pages)
        with opened(output, binary=chosen.binary) as out:
            write(minutes._replace(pages=pages), out)
        if pages.are_none and not following:
            say(NO_MINUTES)
        return token

    return run


def _writer(name: str, chosen: Format, quote_formulas: bool) -> Write:
    write = chosen.load()
    if not quote_formulas:
        return write
    if name != "csv":
        raise Misconfigured(f"--quote-formulas does not apply to {name}. Leave it out, or use csv.")
    from locapi.exporters.formats import csv

    return partial(csv.write, quote_formulas=True)


def _check(name: str, chosen: Format, local_time: bool, output: Path | None) -> None:
    if local_time and not chosen.has_columns:
        others = ", ".join(other for other, each in FORMATS.items() if each.has_columns)
        raise Misconfigured(f"{name} cannot hold the local time. Use --local-time with {others}.")
    if chosen.binary and output is None and sys.stdout.isatty():
        raise Misconfigured(f"cannot write {name} to a terminal. Use -o FILE, or a pipe.")


def _check_changes(name: str, chosen: Format, span: timedelta) -> None:
    if not chosen.has_erased:
        others = ", ".join(other for other, each in FORMATS.items() if each.has_erased)
        raise Misconfigured(f"{name} cannot list erased users. Use {others}.")
    if span != MINUTE:
        raise Misconfigured(
            "--resolution cannot be combined with a token. Leave out one of the two."
        )

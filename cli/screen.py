"""What one look found, in lines for a person."""

import os
from datetime import datetime
from typing import NamedTuple

import click

from locapi.attention import Reason
from locapi.quantities import size, span
from locapi.status import Status

_COLUMN = 18


class Line(NamedTuple):
    """A line of the screen; where it is too long, it goes on below, indented."""

    text: str
    colour: str | None = None
    indent: int = 2


def coloured(line: Line) -> str:
    """Return a line with its colour, unless NO_COLOR is set; click drops it off a terminal."""
    if line.colour is None or os.environ.get("NO_COLOR"):
        return line.text
    return click.style(line.text, fg=line.colour)


def lines(found: Status, reasons: list[Reason]) -> list[Line]:
    """Return the screen's lines, each with its colour."""
    return [*table(rows(found)), Line(""), *verdict(reasons)]


def table(rows: list[tuple[str, str]]) -> list[Line]:
    """Return rows in two columns."""
    return [Line(f"{name:<{_COLUMN}}{text}", indent=_COLUMN) for name, text in rows]


def verdict(reasons: list[Reason]) -> list[Line]:
    """Return in coloured lines what needs attention."""
    if not reasons:
        return [Line("all is well", "green")]
    told = (Line(f"- {reason.message}", "red") for reason in reasons)
    return [Line("needs attention:", "red"), *told]


def rows(found: Status) -> list[tuple[str, str]]:
    """Return what is shown of a look, each with its name."""
    version = f" (MongoDB {found.mongodb})" if found.mongodb else ""
    told = [("database", f"{found.database}, {found.where}{version}")]
    if found.raw_fixes is not None:
        told += [("raw fixes", f"{found.raw_fixes:,}"), ("minutes", f"{found.minutes:,}")]
        if found.users is not None:
            told.append(("users", f"{found.users:,}{'' if found.users_complete else ' or more'}"))
        told += [
            ("newest fix", _received(found, found.newest_received_at)),
            ("oldest raw", _received(found, found.oldest_received_at)),
            ("roll-up", _rollup(found)),
            ("last prune", _prune(found)),
        ]
    return told if found.fault else [*told, ("disk", _disk(found))]


def _received(found: Status, at: datetime | None) -> str:
    return "none" if at is None else f"received {_ago(found, at)}"


def _rollup(found: Status) -> str:
    lag = f"lag {span(found.rollup_lag_s or 0)}"
    if found.rolled_up_at is None:
        return f"{lag}, none has come to its end yet"
    return f"{lag}, last began {_ago(found, found.rolled_up_at)}"


def _prune(found: Status) -> str:
    if found.pruned_at is None:
        return "none noted"
    return f"ended {_ago(found, found.pruned_at)}, deleted {found.pruned_fixes:,}"


def _disk(found: Status) -> str:
    disk = found.disk
    if disk is None:
        return "not told: this database user may not run dbStats"
    used = f"{size(disk.data_bytes)} data, {size(disk.index_bytes)} indexes"
    if disk.free_bytes is None or disk.volume_bytes is None:
        return used
    return f"{used}; {size(disk.free_bytes)} of {size(disk.volume_bytes)} free"


def _ago(found: Status, at: datetime) -> str:
    return f"{time_text(at)}, {span((found.at - at).total_seconds())} ago"


def time_text(at: datetime) -> str:
    """Return a time as the API writes it, to the second."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")

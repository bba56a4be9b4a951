"""Make the tables of docs/SCALING.md from `results.json`, and write them into the page."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmarks.capacity import (
    AT_INSERT,
    CHECK,
    DENSE_S,
    RHYTHMS,
    WITHIN,
    Costs,
    Load,
    Measured,
    Need,
    fit,
    need,
    predicted,
)
from benchmarks.costs import measured

PAGE = Path(__file__).parents[1] / "docs" / "SCALING.md"
USERS = (1_000, 1_000_000, 100_000_000)
LOADS = [Load(users, rhythm) for users in USERS for rhythm in RHYTHMS]
WORDS = {
    "api_cpu": "API: CPU, µs",
    "insert_cpu": "mongod, insert: CPU, µs",
    "insert_oplog": "oplog, inserts: bytes",
    "fix_disk": "raw fixes with indexes on disk: bytes",
    "fold_cpu": "roll-up, in its process and mongod: CPU, µs",
    "fold_oplog": "oplog, roll-up: bytes",
    "minute_disk": "minutes with their index on disk: bytes",
    "prune_cpu": "prune, in its process and mongod: CPU, µs",
    "prune_oplog": "oplog, prune: bytes",
    "keys_cpu": "index keys for a router to find a window's end: CPU, µs",
}


def tables(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return each table of the page by the mark under which it stands."""
    found = measured(rows)
    costs = fit(found)
    return {
        "costs": "\n".join(_costs(costs)),
        "check": "\n".join(_check(found)),
        "needs": "\n".join(_needs([need(load, costs) for load in LOADS])),
    }


def write(rows: Sequence[dict[str, Any]]) -> None:
    """Put the tables into the page."""
    PAGE.write_text(filled(PAGE.read_text(), rows))


def filled(page: str, rows: Sequence[dict[str, Any]]) -> str:
    """Return the page with the tables in it."""
    for mark, table in tables(rows).items():
        before, start, rest = page.partition(f"<!-- {mark} -->\n")
        end = rest.index("<!-- end -->")
        page = f"{before}{start}{table}\n{rest[end:]}"
    return page


def _costs(costs: Costs) -> Iterator[str]:
    yield "| cost | of each fix | of each minute, in addition |"
    yield "|---|--:|--:|"
    for each in fields(costs):
        cost = getattr(costs, each.name)
        minute = "" if each.name in AT_INSERT else number(cost.minute)
        yield f"| {WORDS[each.name]} | {number(cost.fix)} | {minute} |"


def _check(found: Measured) -> Iterator[str]:
    yield "| cost | each user sends | fixes | predicted | measured | deviation |"
    yield "|---|---|--:|--:|--:|--:|"
    for quantity in WORDS:
        for rhythm in (DENSE_S,) if quantity in AT_INSERT else RHYTHMS:
            for size in CHECK:
                yield _checked(quantity, rhythm, size, found)


def _checked(quantity: str, rhythm: int, size: int, found: Measured) -> str:
    line, there = predicted(quantity, rhythm, size, found), found[quantity, rhythm, size]
    off = (line - there) / there
    verdict = "" if abs(off) <= WITHIN else ", over a quarter"
    cells = [number(line / size), number(there / size), f"{off:+.0%}{verdict}"]
    return f"| {WORDS[quantity]} | a fix in {rhythm} s | {size:,} | {' | '.join(cells)} |"


def _needs(needs: Sequence[Need]) -> Iterator[str]:
    heads = [f"{load.users:,} users, a fix in {load.rhythm_s:g} s" for load in LOADS]
    yield f"| | {' | '.join(heads)} |"
    yield f"|---|{'--:|' * len(LOADS)}"
    lines: dict[str, Callable[[Need], str]] = {
        "fixes a second": lambda each: number(each.fixes),
        "cores for the API": lambda each: number(each.api_cores),
        "cores for mongod, on primaries only": lambda each: number(each.mongod_cores),
        "roll-ups": lambda each: f"{each.rollups:,}",
        "raw fixes per day": lambda each: size(each.raw_day),
        "minutes per day": lambda each: size(each.minutes_day),
        "oplog per day": lambda each: size(each.oplog_day),
        "on disk: 7 days raw, a year of minutes": lambda each: size(each.disk),
        "shards": lambda each: "no number suffices" if each.shards is None else f"{each.shards:,}",
        "limiting factor": lambda each: each.first,
    }
    for what, shown in lines.items():
        yield f"| {what} | {' | '.join(shown(each) for each in needs)} |"


def number(value: float) -> str:
    """Return a number with as many digits as it is worth."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def size(value: float) -> str:
    """Return bytes in the unit in which they read well."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 1_000:
            return f"{number(value)} {unit}"
        value /= 1_000
    return f"{number(value)} PB"

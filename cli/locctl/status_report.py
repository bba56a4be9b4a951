"""The status of a database as text for people."""

from datetime import datetime

from locapi.monitoring.health_checks import Problem
from locapi.monitoring.ingest_rate import RATE_S, Rates
from locapi.monitoring.sampler import Sample
from locapi.monitoring.status import Status
from locapi.text import format_duration, format_size, quantity
from locapi.times import format_time
from locctl.screen import Line

_COLUMN = 18
_ALL_WELL = "no problems found"
_ALWAYS_SHOWN = ("stored", "duplicate", "invalid_fix")
_NEVER_SHOWN = "ok"  # health checks and scrapes of metrics

Row = tuple[str, str]


def lines(status: Status, problems: list[Problem]) -> list[Line]:
    """Return the report of a single status."""
    return [*_table(rows(status)), Line(""), *_verdict(problems)]


def live_lines(sample: Sample) -> list[Line]:
    """Return the screen that shows a sample."""
    title = Line(f"{format_time(sample.status.at)}  (Ctrl-C to stop)", "bright_black")
    table = _table([*_rate_rows(sample), *rows(sample.status)])
    return [title, Line(""), *table, Line(""), *_verdict(sample.problems)]


def one_line(sample: Sample) -> str:
    """Return the most important values of a sample."""
    parts = [format_time(sample.status.at)]
    if rates := sample.rates:
        lag = format_duration(sample.status.rollup_lag_s or 0)
        parts += [f"{rates.fixes_per_s:,.1f} fixes/s", _active_users(rates), f"lag {lag}"]
    if responses := _responses(sample):
        parts.append(f"responses/s: {responses}")
    parts.append(" ".join(problem.message for problem in sample.problems) or _ALL_WELL)
    return "  ".join(parts)


def _table(rows: list[Row]) -> list[Line]:
    return [Line(f"{name:<{_COLUMN}}{text}", indent=_COLUMN) for name, text in rows]


def _verdict(problems: list[Problem]) -> list[Line]:
    if not problems:
        return [Line(_ALL_WELL, "green")]
    messages = (Line(f"- {problem.message}", "red") for problem in problems)
    return [Line(f"{quantity(len(problems), 'problem')} found:", "red"), *messages]


def _rate_rows(sample: Sample) -> list[Row]:
    rows = []
    if rates := sample.rates:
        rows.append(("active users", _active_users(rates)))
        rows.append(("fixes/s", f"{rates.fixes_per_s:,.1f} (mean of {RATE_S} s)"))
    if responses := _responses(sample):
        rows.append(("responses/s", responses))
    return rows


def _active_users(rates: Rates) -> str:
    return f"{quantity(rates.active_users, 'user')} in {format_duration(rates.window_s)}"


def _responses(sample: Sample) -> str | None:
    if sample.responses is None:
        return sample.api_error
    return ", ".join(
        f"{verdict} {rate:,.1f}"
        for verdict, rate in sample.responses.items()
        if verdict in _ALWAYS_SHOWN or (rate and verdict != _NEVER_SHOWN)
    )


def rows(status: Status) -> list[Row]:
    """Return the values of a status that are shown, each with its name."""
    version = f" (MongoDB {status.mongodb})" if status.mongodb else ""
    rows = [("database", f"{status.database}, {status.where}{version}")]
    if status.raw_fixes is not None:
        rows += [("raw fixes", f"{status.raw_fixes:,}"), ("minutes", f"{status.minutes:,}")]
        if status.users is not None:
            more = "" if status.users_complete else " or more"
            rows.append(("users", f"{status.users:,}{more}"))
        rows += [
            ("newest raw fix", _received(status, status.newest_received_at)),
            ("oldest raw fix", _received(status, status.oldest_received_at)),
            ("roll-up", _rollup(status)),
            ("last prune", _prune(status)),
        ]
    return rows if status.error else [*rows, ("disk", _disk(status))]


def _received(status: Status, at: datetime | None) -> str:
    return "none" if at is None else f"received {_ago(status, at)}"


def _rollup(status: Status) -> str:
    lag = f"lag {format_duration(status.rollup_lag_s or 0)}"
    if status.rolled_up_at is None:
        return f"{lag}, never finished"
    return f"{lag}, last one started {_ago(status, status.rolled_up_at)}"


def _prune(status: Status) -> str:
    if status.pruned_at is None:
        return "never"
    deleted = quantity(status.pruned_fixes or 0, "raw fix")
    return f"finished {_ago(status, status.pruned_at)}, deleted {deleted}"


def _disk(status: Status) -> str:
    disk = status.disk
    if disk is None:
        return "unknown, as this database user has no right to dbStats"
    used = f"{format_size(disk.data_bytes)} data, {format_size(disk.index_bytes)} indexes"
    if disk.free_bytes is None or disk.volume_bytes is None:
        return used
    return f"{used}; {format_size(disk.free_bytes)} of {format_size(disk.volume_bytes)} free"


def _ago(status: Status, at: datetime) -> str:
    return f"{format_time(at)}, {format_duration((status.at - at).total_seconds())} ago"

"""Collect phone locations: validate, store once, and keep exact minute averages."""

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow


def minutes(
    uri: str | None = None,
    user: str | None = None,
    since: datetime | str | None = None,
    until: datetime | str | None = None,
    resolution: str = "1m",
    local_time: bool = False,
) -> "pyarrow.Table":
    """Return the minutes in `[since, until)` as an Arrow table, sorted by user and time.

    The arguments are those of `locctl export`: a time without a time zone is UTC, `resolution`
    is a text such as "5m", "1h" or "1d", and `local_time` adds the local time at the position.
    If `uri` is None, the settings name the database.

    Raises ValueError for an invalid argument, Misconfigured for an invalid setting or without
    the extra `export`, and DatabaseUnavailable.
    """
    from locapi.errors import require_extra

    with require_extra("export"):
        from locapi.exporters.arrow import table
    return table(uri, user, since, until, resolution, local_time)

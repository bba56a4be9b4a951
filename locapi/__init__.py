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
    """Return minute averages of `[since, until)` as an Arrow table, by user and then minute.

    The arguments are those of `locctl export`: a time without a zone is UTC; `resolution`
    is as "5m", "1h" or "1d"; `local_time` adds the wall time at the position. Where `uri` is
    None the settings say where the database is. Raises ValueError for an argument that cannot
    be read, and LocapiError: Misconfigured, without the extra `export` among others, or
    DatabaseUnavailable.
    """
    from locapi.errors import needing

    with needing("export"):
        from locapi.tables import table
    return table(uri, user, since, until, resolution, local_time)

"""How a length of time is written on the command line."""

import re
from datetime import timedelta
from typing import Any

import click

UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
MAX_DURATION = timedelta(days=36_500)


class Duration(click.ParamType[timedelta]):
    """A number and its unit, such as 7d."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> timedelta:
        """Return the duration, or fail with what to write."""
        found = re.fullmatch(r"([0-9]{1,6})([smhd])", value)
        if found is None:
            self.fail(f"{value!r} is no duration; write 90s, 15m, 36h or 7d", param, ctx)
        duration = int(found[1]) * UNITS[found[2]]
        if duration > MAX_DURATION:
            self.fail(f"{value!r} is too long; the most is {MAX_DURATION.days}d", param, ctx)
        return duration

"""How a time and a length of time are read from the command line."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from locapi import times

T = TypeVar("T")


class _Parsed(click.ParamType[T]):
    """A value whose parser raises ValueError with what to write."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: Any, ctx: Any) -> T:
        """Return the value, or fail with what to write."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Duration(_Parsed[timedelta]):
    """A number and its unit, such as 7d."""

    def __init__(self) -> None:
        super().__init__("duration", times.parse_duration)


class Resolution(_Parsed[timedelta]):
    """A length of time of which a whole number makes a day, such as 5m."""

    def __init__(self) -> None:
        super().__init__("resolution", times.parse_resolution)


class UtcTime(_Parsed[datetime]):
    """A date, or a date and time; UTC where it bears no zone."""

    def __init__(self) -> None:
        super().__init__("time", times.parse_time)

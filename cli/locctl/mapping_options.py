"""The options of `locctl import` on the fields of the files."""

from datetime import tzinfo
from functools import wraps
from typing import Any

import click

from locapi.importers.fields import FIELDS, SPEED_UNITS, FieldMapping
from locctl.options import USER_ID, ZONE, Command, number


class _Column(click.ParamType[tuple[str, str]]):
    name = "column"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        field, _, name = value.partition("=")
        if field not in FIELDS or not name:
            fields = ", ".join(FIELDS)
            self.fail(f"{value!r} is not FIELD=NAME, with FIELD one of {fields}", param, ctx)
        return field, name


def mapping_options(command: Command) -> Command:
    """Add the options, which the command gets as one `mapping`."""

    @click.option(
        "--column",
        "columns",
        type=_Column(),
        multiple=True,
        metavar="FIELD=NAME",
        help="Map FIELD to the file's column NAME, as in lat=latitude. May be repeated.",
    )
    @click.option("--user", type=USER_ID, metavar="USER", help="User for fixes without a user_id.")
    @click.option(
        "--accuracy",
        type=number(0),
        metavar="METRES",
        help="Accuracy for fixes without one. Default: unknown.",
    )
    @click.option(
        "--speed",
        type=number(0),
        metavar="MPS",
        help="Speed, in metres a second, for fixes without one. Default: unknown.",
    )
    @click.option(
        "--timezone",
        type=ZONE,
        metavar="ZONE",
        help="Zone of times without one: Europe/Berlin, UTC or +02:00. Default: local times.",
    )
    @click.option(
        "--speed-unit",
        type=click.Choice(list(SPEED_UNITS)),
        help="Unit of the speeds in the FILEs. Default: that of the format, mostly m/s.",
    )
    @wraps(command)
    def with_mapping(
        columns: tuple[tuple[str, str], ...],
        user: str | None,
        accuracy: float | None,
        speed: float | None,
        timezone: tzinfo | None,
        speed_unit: str | None,
        **others: Any,
    ) -> None:
        given = {"user_id": user, "accuracy": accuracy, "speed": speed}
        defaults = {field: value for field, value in given.items() if value is not None}
        mapping = FieldMapping(dict(columns), defaults, timezone, speed_unit)
        command(mapping=mapping, **others)

    return with_mapping

"""The parameter type of the scripts' options."""

from collections.abc import Callable

import click


def integer(minimum: int, maximum: int) -> Callable[[str | int], int]:
    """Return the type of an integer from `minimum` to `maximum`."""

    def integer(value: str | int) -> int:
        try:
            number = int(value)
        except ValueError:
            number = minimum - 1
        if not minimum <= number <= maximum:
            raise click.BadParameter(f"{value!r} is not an integer from {minimum} to {maximum}.")
        return number

    return integer

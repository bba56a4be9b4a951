"""What every measurement shares: rounds that take turns, and rows that make one table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

import click

ROUNDS = 5
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One thing measured, a sample a round; `against` is what was measured in the same rounds."""

    what: str
    unit: str
    samples: Sequence[float]
    against: "Row | None" = None

    @property
    def ratio(self) -> float | None:
        """Return the median of the rounds' ratios: what slows a round down slows both sides."""
        if self.against is None:
            return None
        return median(
            mine / other for mine, other in zip(self.samples, self.against.samples, strict=True)
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the row as `results.json` keeps it."""
        return {
            "what": self.what,
            "unit": self.unit,
            "median": median(self.samples),
            "samples": self.samples,
            "ratio": self.ratio,
            "against": self.against and self.against.what,
        }


def interleave(measures: Mapping[str, Callable[[], T]], rounds: int = ROUNDS) -> dict[str, list[T]]:
    """Take each measure once a round and return its samples.

    The order turns from round to round. A round before the first warms up and is left out.
    """
    samples: dict[str, list[T]] = {name: [] for name in measures}
    order = list(measures)
    for number in range(rounds + 1):
        for name in order:
            click.echo(f"  round {number} of {rounds}: {name}", err=True)
            sample = measures[name]()
            if number:
                samples[name].append(sample)
        order.append(order.pop(0))
    return samples


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    return "\n".join(_lines(rows))


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    yield "| what | median | lowest to highest | ratio |"
    yield "|---|--:|--:|---|"
    for row in rows:
        low, middle, high = (
            _number(number) for number in (min(row.samples), median(row.samples), max(row.samples))
        )
        ratio = f"{row.ratio:.2f} of {row.against.what}" if row.against else ""
        yield f"| {row.what}, {row.unit} | {middle} | {low} to {high} | {ratio} |"


def _number(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}"

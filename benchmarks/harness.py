"""What the measurements share: interleaved rounds, and rows that make one table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

import click

ROUNDS = 5
T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """The target of a row: a ratio if the row has a counterpart, else a median."""

    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return f"at most {self.at_most:g}"

    def met_by(self, measured: float) -> bool:
        """Return whether what was measured is enough."""
        if self.at_least is not None:
            return measured >= self.at_least
        return self.at_most is None or measured <= self.at_most


@dataclass(frozen=True)
class Row:
    """A measurement with a sample a round; `against` is its counterpart in the same rounds."""

    what: str
    unit: str
    samples: Sequence[float]
    against: "Row | None" = None
    target: Target | None = None

    @property
    def ratios(self) -> list[float]:
        """Return each round's ratio: what slows a round down slows both sides."""
        if self.against is None:
            return []
        pairs = zip(self.samples, self.against.samples, strict=True)
        return [mine / other for mine, other in pairs]

    @property
    def ratio(self) -> float | None:
        """Return the median of the rounds' ratios."""
        return median(self.ratios) if self.ratios else None

    @property
    def verdict(self) -> str:
        """Return whether the target is met, or nothing where there is none."""
        if self.target is None:
            return ""
        measured = median(self.samples) if self.ratio is None else self.ratio
        return "met" if self.target.met_by(measured) else "missed"

    def as_dict(self) -> dict[str, Any]:
        """Return the row as `results.json` keeps it."""
        return {
            "what": self.what,
            "unit": self.unit,
            "median": median(self.samples),
            "samples": self.samples,
            "ratio": self.ratio,
            "against": self.against and self.against.what,
            "target": self.target and str(self.target),
            "verdict": self.verdict,
        }


def interleave(measures: Mapping[str, Callable[[], T]], rounds: int = ROUNDS) -> dict[str, list[T]]:
    """Take each measure once a round and return its samples.

    The order is reversed each round. A warm-up round precedes the first and does not count.
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
    """Return the rows as a Markdown table; what others are measured against is in their rows."""
    peers = [row.against for row in rows]
    return "\n".join(_lines([row for row in rows if row not in peers]))


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    yield "| what | median | beside it | ratio (lowest to highest) | target | |"
    yield "|---|--:|---|---|---|---|"
    for row in rows:
        peer, ratio = row.against, row.ratio
        cells = [
            f"{row.what}, {row.unit}",
            _number(median(row.samples)),
            f"{peer.what}: {_number(median(peer.samples))}" if peer else "",
            f"{ratio:.2f} ({_spread(row.ratios, '{:.2f}'.format)})" if ratio else "",
            str(row.target or ""),
            row.verdict,
        ]
        yield f"| {' | '.join(cells)} |"


def _spread(numbers: Sequence[float], form: Callable[[float], str]) -> str:
    return f"{form(min(numbers))} to {form(max(numbers))}"


def _number(number: float) -> str:
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 1 else f"{number:.2f}"

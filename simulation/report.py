"""Count what became of the rows of a replay, as a table."""

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from time import perf_counter

from simulation.replay import Answer

MAX_EXAMPLES = 5
MAX_REASONS = 10
MAX_WIDTH = 60


class Tally:
    """Sums over the answers so far."""

    def __init__(self) -> None:
        self.examples: list[str] = []
        self.failed_in_a_row = 0
        self._codes: Counter[int] = Counter()
        self._details: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self._latencies_s = array("d")
        self._retries = 0
        self._started = perf_counter()

    @property
    def failed(self) -> int:
        """Return the number of rows that ended with neither 200 nor 400."""
        return self._codes.total() - self._codes[200] - self._codes[400]

    def add(self, answer: Answer) -> None:
        """Count one answer, and keep the first few that are not 200 as examples."""
        self._codes[answer.code] += 1
        self._details[answer.code].update(map(shorten, answer.details))
        self._latencies_s.append(answer.seconds)
        self._retries += answer.retries
        self.failed_in_a_row = 0 if answer.code in (200, 400) else self.failed_in_a_row + 1
        if answer.code != 200 and len(self.examples) < MAX_EXAMPLES:
            reasons = "; ".join(map(shorten, answer.details))
            self.examples.append(f"{answer.place}: {answer.code or 'failed'}, {reasons}")

    def table(self) -> str:
        """Return all counts in two aligned columns."""
        lines = [*self._totals(), *self._answers(), *self._latency()]
        label_width = max(len(label) for label, _ in lines)
        value_width = max(len(value) for _, value in lines)
        return "\n".join(
            f"{label:<{label_width}}  {value:>{value_width}}" for label, value in lines
        )

    def _totals(self) -> Iterator[tuple[str, str]]:
        seconds = perf_counter() - self._started
        sent = self._codes.total()
        yield "fixes sent", f"{sent:,}"
        yield "seconds", f"{seconds:,.1f}"
        yield "fixes per second", f"{sent / max(seconds, 1e-9):,.0f}"
        yield "retries", f"{self._retries:,}"

    def _answers(self) -> Iterator[tuple[str, str]]:
        for code, count in sorted(self._codes.items()):
            yield f"code {code}" if code else "no answer", f"{count:,}"
            details = sorted(self._details[code].items(), key=lambda item: (-item[1], item[0]))
            for detail, times in details[:MAX_REASONS]:
                yield f"  {detail}", f"{times:,}"
            if rest := details[MAX_REASONS:]:
                yield f"  {len(rest)} other reasons", f"{sum(times for _, times in rest):,}"

    def _latency(self) -> Iterator[tuple[str, str]]:
        latencies = sorted(self._latencies_s)
        for label, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)):
            if latencies:
                worst = latencies[math.ceil(share * len(latencies)) - 1]
                yield f"latency {label}, ms", f"{worst * 1000:,.1f}"


def shorten(text: str) -> str:
    """Return text without control characters, cut to fit a line of the table."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= MAX_WIDTH else text[: MAX_WIDTH - 1] + "…"

"""The table at the end of a replay."""

from simulation.replay import Answer
from simulation.report import Tally, shorten


def test_reasons_are_sorted_by_count_and_rare_ones_summed() -> None:
    tally = Tally()
    for number in range(12):
        for _ in range(20 - number):
            tally.add(Answer("f:1", 400, (f"reason {number:02}",), 0, 0.001))
    lines = [line.split() for line in tally.table().splitlines() if line.startswith("  ")]
    assert [line[:-1] for line in lines[:-1]] == [["reason", f"{n:02}"] for n in range(10)]
    assert lines[-1] == ["2", "other", "reasons", "19"]


def test_foreign_text_cannot_break_a_line_of_the_table() -> None:
    assert shorten("a\nb\x1b[31m") == "a?b?[31m"
    assert shorten("x" * 100) == "x" * 59 + "…"


def test_percentiles_are_of_real_latencies() -> None:
    tally = Tally()
    for ms in range(1, 101):
        tally.add(Answer("f:1", 200, ("stored",), 0, ms / 1000))
    values = [line.split()[-1] for line in tally.table().splitlines() if "latency" in line]
    assert values == ["50.0", "90.0", "99.0", "100.0"]

"""The table of docs/PERFORMANCE.md is written from what was measured."""

from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.harness import Row, Target

MACHINE = {"cores": 2, "memory_gb": 25.0, "kernel": "6.1", "python": "3.13", "mongod": "7.0"}


def test_table_is_replaced_and_the_rest_of_the_page_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "page.md"
    copy.write_text(page.PAGE.read_text())
    monkeypatch.setattr(page, "PAGE", copy)
    before, _, rest = page.PAGE.read_text().partition(page.START)
    peer = Row("peer", "a second", [10.0, 12.0, 11.0])
    rows = [Row("ours", "a second", [30.0, 24.0, 33.0], peer, Target(at_least=3)), peer]
    for _ in range(2):
        page.write(rows, MACHINE, 0.2)
    assert copy.read_text().startswith(before)
    assert copy.read_text().endswith(rest.partition(page.END)[2])
    assert copy.read_text().count("Measured on") == 1
    line = "| ours, a second | 30.0 | peer: 11.0 | 3.00 (2.00 to 3.00) | at least 3 | met |"
    assert copy.read_text().count(line) == 1
    assert "| peer, a second |" not in copy.read_text()

"""Write the table of the usual measurements into docs/PERFORMANCE.md."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import Row, table

PAGE = Path(__file__).parents[1] / "docs" / "PERFORMANCE.md"
START, END = "<!-- measured -->\n", "<!-- end -->\n"


def write(rows: Sequence[Row], machine: dict[str, Any], load: float) -> None:
    """Put the table into the page, with the machine and how busy it was before."""
    before, _, rest = PAGE.read_text().partition(START)
    _, _, after = rest.partition(END)
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    where = (
        f"Measured on {when}: {machine['cores']} cores, {machine['memory_gb']:g} GB, Linux "
        f"{machine['kernel']}, Python {machine['python']}, MongoDB {machine['mongod']}. "
        f"The load average before was {load:.1f}."
    )
    PAGE.write_text(f"{before}{START}{where}\n\n{table(rows)}\n{END}{after}")

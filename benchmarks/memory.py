"""Measure the memory of API workers after load, round by round."""

from pathlib import Path

from benchmarks import peak
from benchmarks.harness import Row, Target, interleave
from benchmarks.load import STORED, drive
from benchmarks.serving import LOCCTL_SERVE, scratch, serving

AIM = Target(at_most=150)


def measure() -> list[Row]:
    """Return the resident set of a worker, of all the server's processes, and of commands."""
    with scratch() as home, serving(LOCCTL_SERVE, home) as api:

        def loaded() -> list[float]:
            drive(api.port, STORED)
            return [_rss_mb(pid) for pid in (api.pid, *_workers(api.pid))]

        samples = interleave({"locapi": loaded})["locapi"]
    return [
        Row("RSS of an API worker", "MB", [max(s[1:]) for s in samples], target=AIM),
        Row("RSS of the server's parent and workers", "MB", [sum(s) for s in samples]),
        *peak.measure(),
    ]


def _workers(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    # Python's own helper process is a child too.
    return [
        int(child)
        for child in children
        if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) * 1024 / 1e6

"""`locctl rollup --watch` as a process, with leases of another length."""

import sys
from functools import partial
from pathlib import Path

from cli.entry import main
from locapi import shares
from tests.faults.processes import Process


class Watching(Process):
    """One that rolls up as often as it can, and may prune along the way."""

    def __init__(
        self, name: str, directory: Path, *options: str, lease_s: float, **environ: str
    ) -> None:
        command = [sys.executable, "-m", "tests.watching", str(lease_s)]
        super().__init__(name, [*command, "rollup", "--watch=0.1", *options], directory, **environ)


if __name__ == "__main__":
    lease_s = float(sys.argv.pop(1))
    shares.watching = partial(shares.watching, lease_s=lease_s)
    main()

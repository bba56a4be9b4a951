"""`locctl rollup --watch` as a process, with leases of a given length."""

import sys
from functools import partial
from pathlib import Path

from locctl.entry import main

from locapi.rollup import leases
from tests.support.processes import Process


class Watching(Process):
    """A roll-up that folds ten times a second, and may prune."""

    def __init__(
        self, name: str, directory: Path, *options: str, lease_s: float, **environ: str
    ) -> None:
        command = [sys.executable, "-m", "tests.support.watching", str(lease_s)]
        super().__init__(name, [*command, "rollup", "--watch=0.1", *options], directory, **environ)


if __name__ == "__main__":
    lease_s = float(sys.argv.pop(1))
    leases.rollup_lease = partial(leases.rollup_lease, lease_s=lease_s)
    main()

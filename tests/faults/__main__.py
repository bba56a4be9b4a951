"""`make faults`: kill, pause and cut off under load, and print what became of it."""

import random
import sys
import tempfile
from pathlib import Path

from tests.faults.load import Load
from tests.faults.referee import judge, lost
from tests.faults.report import effects, table, unexcused
from tests.faults.single_node import SingleNode

ROUNDS = 13


def main() -> int:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1_000_000)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as d:
        node = SingleNode(Path(d), seed)
        with node.running():
            with Load(node.api.port, seed) as load:
                faults = []
                for f in node.befall(load, int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS):
                    faults.append(f)
                    print(f.kind, round(f.ended - f.began, 2), flush=True)
            entries = list(load.entries())
            told = [*unexcused(load, faults), *judge(node.uri, entries)]
            print(len(entries), "lost", len(lost(node.uri, entries)))
            print("\n".join(table(effects(load, faults))))
            print("\n".join(told[:20]), len(told))
            print(node.api.starts)
            print(node.api.log.read_text()[-3000:])
            print(node.rollup.log.read_text()[-1000:])
    return bool(told)


if __name__ == "__main__":
    sys.exit(main())

"""Measure the CPU time and disk space that fixes cost: `python -m benchmarks capacity`."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import chain
from unittest import mock

from pymongo.database import Database

from benchmarks import raw
from benchmarks.capacity import CHECK, DENSE_S, FIT, MINUTE_S, RHYTHMS, Measured
from benchmarks.harness import Row, interleave
from benchmarks.load import STORED, drive
from benchmarks.serving import LOCCTL_SERVE, Server, cpu_s, member, serving
from locapi.rollup import prune, watermarks
from locapi.rollup.fold import fold_new_fixes
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import FIXES, MINUTES, WATERMARKS, Document

ROUNDS = 3
CONNECTIONS = 128
MINUTES_EACH = 2  # of a user
KEY_READINGS = 20  # one is lost in the noise of mongod's other work
SIZES = sorted((*FIT, *CHECK))
_FREE = "file bytes available for reuse"
_LABEL = "{quantity}, {fixes:,} fixes, one in {rhythm} s"

Taken = dict[tuple[str, int], float]  # by quantity and rhythm
Tracks = dict[int, list[list[Document]]]  # by rhythm


def measure() -> list[Row]:
    """Return what each size takes: µs of CPU by part, bytes on disk and in the oplog."""
    tracks = {rhythm: _tracks(rhythm) for rhythm in RHYTHMS}
    with (
        member() as home,
        mongo.open_database(Settings(mongodb_uri=home.uri)) as database,
        serving(LOCCTL_SERVE, home) as api,
        mock.patch.object(watermarks, "HORIZON_TRUST_S", 0.0),  # no API is to be waited for
    ):
        taken = interleave(
            {str(size): partial(_take, database, api, tracks, size) for size in SIZES}, ROUNDS
        )
    return [
        Row(
            _LABEL.format(quantity=quantity, fixes=int(size), rhythm=rhythm),
            "µs" if quantity.endswith("_cpu") else "bytes",
            [sample[quantity, rhythm] for sample in samples],
        )
        for size, samples in taken.items()
        for quantity, rhythm in samples[0]
    ]


def measured(rows: Sequence[Document]) -> Measured:
    """Return the medians that `results.json` keeps of that."""
    by_label = {row["what"]: row["median"] for row in rows}
    quantities = {label.partition(",")[0] for label in by_label}
    places = [(quantity, r, size) for quantity in quantities for r in RHYTHMS for size in SIZES]
    labels = {
        (quantity, rhythm, size): _LABEL.format(quantity=quantity, fixes=size, rhythm=rhythm)
        for quantity, rhythm, size in places
    }
    return {place: by_label[label] for place, label in labels.items() if label in by_label}


def _tracks(rhythm: int) -> list[list[Document]]:
    each = MINUTES_EACH * MINUTE_S // rhythm
    users = -(-max(SIZES) // each)
    return [list(raw.track(f"user{number:06}", each, rhythm)) for number in range(users)]


def _take(database: Database[Document], api: Server, tracks: Tracks, size: int) -> Taken:
    sent = {(name, DENSE_S): value for name, value in _send(database, api, size).items()}
    for rhythm in RHYTHMS:
        of_one = len(tracks[rhythm][0])
        together = chain.from_iterable(zip(*tracks[rhythm][: size // of_one], strict=True))
        _empty(database)
        raw.receive(database, together)
        sent |= {(name, rhythm): value for name, value in _fold(database).items()}
    return sent


def _send(database: Database[Document], api: Server, size: int) -> dict[str, float]:
    _empty(database)
    api_before, mongod, oplog = cpu_s(api.pid), _cpu_us(database), _oplog(database)
    drive(api.port, STORED, CONNECTIONS, count=size)
    return {
        "api_cpu": (cpu_s(api.pid) - api_before) * 1e6,
        "insert_cpu": _cpu_us(database) - mongod,
        "insert_oplog": _oplog(database) - oplog,
        "fix_disk": _disk(database, FIXES),
    }


def _fold(database: Database[Document]) -> dict[str, float]:
    mongod = _cpu_us(database)
    for _ in range(KEY_READINGS):
        _read_keys(database)
    taken: dict[str, float] = {"keys_cpu": (_cpu_us(database) - mongod) / KEY_READINGS}
    with _taking(database, "fold", taken):
        fold_new_fixes(database)
    taken["minute_disk"] = _disk(database, MINUTES)
    with _taking(database, "prune", taken):
        done = prune.prune(database, timedelta(0))
    if left := done.unproven + done.newer:
        raise RuntimeError(f"{left:,} fixes were left")
    return taken


@contextmanager
def _taking(database: Database[Document], what: str, taken: dict[str, float]) -> Iterator[None]:
    """Record the CPU time of mongod and of this process during the block."""
    mongod, own, oplog = _cpu_us(database), time.process_time(), _oplog(database)
    yield
    taken[f"{what}_oplog"] = _oplog(database) - oplog
    taken[f"{what}_cpu"] = _cpu_us(database) - mongod + (time.process_time() - own) * 1e6


def _read_keys(database: Database[Document]) -> None:
    """Read what a router reads of each shard to find where a window ends."""
    order = {"slice": 1, "received_at": 1}
    for _ in database[FIXES].find_raw_batches({}, {"_id": 0, **order}, sort=list(order.items())):
        pass


def _empty(database: Database[Document]) -> None:
    for name in (FIXES, MINUTES, WATERMARKS):
        database.drop_collection(name)
    migrate.prepare(database)


def _cpu_us(database: Database[Document]) -> float:
    process = database.command("serverStatus")["extra_info"]
    total: float = process["user_time_us"] + process["system_time_us"]
    return total


def _oplog(database: Database[Document]) -> int:
    size: int = database.client["local"].command("collStats", "oplog.rs")["size"]
    return size


def _disk(database: Database[Document], collection: str) -> int:
    """Return what a collection and its indexes take on disk, once all is written.

    Not what their files keep free for what comes: how much that is differs each time.
    """
    database.client.admin.command("fsync")
    stats = database.command("collStats", collection)
    free = sum(each["block-manager"][_FREE] for each in stats["indexDetails"].values())
    size: int = stats["totalSize"] - stats["freeStorageSize"] - free
    return size

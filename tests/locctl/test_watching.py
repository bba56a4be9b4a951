"""Processes of `locctl rollup --watch` over one database; one of them is killed."""

from contextlib import ExitStack
from pathlib import Path

from pymongo.database import Database

from locapi.ingest.store import FixStore
from locapi.rollup.verify import Report, verify
from locapi.storage.documents import WATERMARKS, Document
from tests.support.crashing import NOW, as_fix, fix
from tests.support.processes import until
from tests.support.reference import Reference, differences
from tests.support.watching import Watching


def send(db: Database[Document], reference: Reference, minute: int) -> None:
    """Send a few fixes each of many users, some twice."""
    store = FixStore(db, lambda: NOW)
    for number in range(60):
        for second in (1, 2, 1):
            sent = fix(f"01-01 13:{minute:02}:{second:02}", f"u{number}", lat=40.0 + second)
            assert store.put(as_fix(sent)).status == reference.put(sent)


def leases(db: Database[Document]) -> list[Document]:
    document = db[WATERMARKS].find_one({"_id": "leases"}) or {}
    return list(document.get("leases", []))


def all_rolled_up(db: Database[Document], reference: Reference) -> bool:
    return differences(db.minutes.find(), reference.minutes()) == []


def test_watching_roll_ups_share_the_work_and_take_over_from_one_that_dies(
    db: Database[Document], mongodb_uri: str, tmp_path: Path
) -> None:
    reference = Reference()
    environ = {"MONGODB_URI": mongodb_uri, "LOCAPI_DATABASE": db.name}
    watching = [Watching(f"rollup{n}", tmp_path, lease_s=6.0, **environ) for n in range(4)]
    with ExitStack() as started:
        for process in watching:
            started.callback(process.end)
            process.start()
        send(db, reference, 0)
        until(lambda: len(leases(db)) == 4, "four leases")
        send(db, reference, 1)
        until(lambda: all_rolled_up(db, reference), "all minutes")
        watching[0].kill()
        for minute in (2, 3):
            send(db, reference, minute)
        until(lambda: len(leases(db)) == 3, "the lease of the dead one expires")
        until(lambda: all_rolled_up(db, reference), "its slices are rolled up too")
        assert list(verify(db, Report())) == []
        assert all(process.pid for process in watching[1:])
        watching[1].end()
        assert len(leases(db)) == 2, "a roll-up that ends releases its lease"
    assert leases(db) == []

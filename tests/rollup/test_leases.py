"""Roll-ups that watch a database share the slices, and take over from one that dies."""

from datetime import timedelta

import pytest
from pymongo.database import Database

from locapi.rollup.leases import RollupLease, rollup_lease
from locapi.rollup.windows import ALL_SLICES
from locapi.settings import Settings
from locapi.storage import mongo
from locapi.storage.documents import WATERMARKS, Document
from tests.support.processes import until


def shares(leases: list[RollupLease]) -> list[range]:
    """Return the share of each, once each knows of all."""
    for lease in leases:
        lease.slices()
    return [lease.slices() for lease in leases]


def stored(db: Database[Document], lease: RollupLease) -> Document:
    leases = db[WATERMARKS].find_one({"_id": "leases"})
    assert leases
    (found,) = [each for each in leases["leases"] if each["id"] == lease.id]
    return dict(found)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 150])
def test_the_slices_are_shared_evenly_each_once(db: Database[Document], count: int) -> None:
    found = shares([RollupLease(db) for _ in range(count)])
    assert sorted(each for share in found for each in share) == list(ALL_SLICES)
    sizes = [len(share) for share in found]
    assert max(sizes) - min(sizes) <= 1


def test_a_new_lease_has_its_share_at_once_and_a_released_one_goes_at_once(
    db: Database[Document],
) -> None:
    first = RollupLease(db)
    assert first.slices() == ALL_SLICES
    with rollup_lease(db) as second:
        assert sorted([*second.slices(), *first.slices()]) == list(ALL_SLICES)
        assert len(first.slices()) == 64
    assert first.slices() == ALL_SLICES


def test_an_expired_lease_loses_its_share_until_it_is_renewed(db: Database[Document]) -> None:
    slow, other = RollupLease(db, lease_s=0.1), RollupLease(db)
    slow.slices()
    until(lambda: other.slices() == ALL_SLICES)
    assert len(slow.slices()) == 64


def test_a_lease_that_is_renewed_during_work_keeps_its_share(db: Database[Document]) -> None:
    working, other = RollupLease(db, lease_s=5.0), RollupLease(db)
    shares([working, other])
    first = stored(db, working)["until"]

    def renewed_twice() -> bool:
        working.renew()
        return bool(stored(db, working)["until"] > first + timedelta(seconds=1))

    until(renewed_twice)
    assert len(other.slices()) == 64


def test_a_lease_is_renewed_no_more_often_than_it_must(db: Database[Document]) -> None:
    lease = RollupLease(db, lease_s=3600.0)
    lease.slices()
    first = stored(db, lease)
    lease.renew()
    assert stored(db, lease) == first


def test_a_lease_from_before_the_clock_was_set_back_is_expired(db: Database[Document]) -> None:
    living, dead = RollupLease(db), RollupLease(db)
    shares([living, dead])
    tomorrow = stored(db, dead)["until"] + timedelta(days=1)
    db[WATERMARKS].update_one({"leases.id": dead.id}, {"$set": {"leases.$.until": tomorrow}})
    assert living.slices() == ALL_SLICES


def test_a_release_that_fails_is_ignored() -> None:
    uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=10"
    with mongo.open_database(Settings(mongodb_uri=uri)) as away:
        RollupLease(away).release()

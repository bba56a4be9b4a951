"""Watching roll-ups share the slices, and take over from one that dies."""

from datetime import timedelta

import pytest
from pymongo.database import Database

from locapi import mongo
from locapi.mongo import WATERMARKS, Document
from locapi.settings import Settings
from locapi.shares import Watcher, watching
from locapi.windows import ALL
from tests.serving import until


def parts(watchers: list[Watcher]) -> list[range]:
    """Return each one's share, once all have heard of all."""
    for watcher in watchers:
        watcher.share()
    return [watcher.share() for watcher in watchers]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 150])
def test_the_shares_of_all_are_all_slices_each_once(db: Database[Document], count: int) -> None:
    found = parts([Watcher(db) for _ in range(count)])
    assert sorted(each for share in found for each in share) == list(ALL)
    sizes = [len(share) for share in found]
    assert max(sizes) - min(sizes) <= 1


def test_who_joins_takes_a_share_at_once(db: Database[Document]) -> None:
    first, second = Watcher(db), Watcher(db)
    assert first.share() == ALL
    taken = second.share()
    assert sorted([*taken, *first.share()]) == list(ALL)


def test_who_leaves_is_taken_over_from_at_once(db: Database[Document]) -> None:
    stays = Watcher(db)
    with watching(db) as leaves:
        assert len(parts([stays, leaves])[0]) == 64
    assert stays.share() == ALL


def test_who_dies_is_taken_over_from_when_its_lease_has_run_out(db: Database[Document]) -> None:
    lives, dies = Watcher(db), Watcher(db, lease_s=1.0)
    assert len(parts([lives, dies])[0]) == 64
    until(lambda: lives.share() == ALL)


def test_who_works_for_long_keeps_its_share(db: Database[Document]) -> None:
    works, other = Watcher(db, lease_s=1.5), Watcher(db)
    parts([works, other])
    first = lease(db, works)["until"]

    def kept() -> bool:
        works.keep()
        return bool(lease(db, works)["until"] > first + timedelta(seconds=3))

    until(kept)
    assert len(other.share()) == 64


def test_a_lease_is_renewed_no_more_often_than_it_must(db: Database[Document]) -> None:
    watcher = Watcher(db, lease_s=3600.0)
    watcher.share()
    first = lease(db, watcher)
    watcher.keep()
    assert lease(db, watcher) == first


def test_a_lease_of_before_the_clock_was_set_back_is_none(db: Database[Document]) -> None:
    lives, dies = Watcher(db), Watcher(db)
    parts([lives, dies])
    tomorrow = lease(db, dies)["until"] + timedelta(days=1)
    db[WATERMARKS].update_one({"leases.id": dies._id}, {"$set": {"leases.$.until": tomorrow}})
    assert lives.share() == ALL


def test_who_was_taken_for_dead_is_back_with_its_next_share(db: Database[Document]) -> None:
    slow, other = Watcher(db, lease_s=0.01), Watcher(db)
    slow.share()
    until(lambda: other.share() == ALL)
    assert len(slow.share()) == 64


def test_a_farewell_that_fails_is_none() -> None:
    uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=10"
    with mongo.open_database(Settings(mongodb_uri=uri)) as away:
        Watcher(away).leave()


def lease(db: Database[Document], watcher: Watcher) -> Document:
    watchers = db[WATERMARKS].find_one({"_id": "watchers"})
    assert watchers
    (found,) = [each for each in watchers["leases"] if each["id"] == watcher._id]
    return dict(found)

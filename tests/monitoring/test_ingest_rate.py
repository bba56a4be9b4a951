"""Fixes received a second, and active users."""

from datetime import datetime, timedelta

import pytest
from bson import Timestamp
from pymongo.database import Database

from locapi.fixes import ids
from locapi.monitoring import ingest_rate
from locapi.monitoring.ingest_rate import IngestRate, Rates
from locapi.storage.documents import Document
from tests.conftest import Commands
from tests.support.statuses import AT


def receive(db: Database[Document], user_id: str, *seconds_ago: float) -> None:
    """Store fixes of a user that were received so long before AT."""
    before = db.fixes.count_documents({})
    db.fixes.insert_many(
        {
            "_id": f"{user_id}\t{before + number}",
            "user_id": user_id,
            "slice": ids.slice_of(user_id),
            "received_at": Timestamp(AT - timedelta(seconds=each), number + 1),
        }
        for number, each in enumerate(seconds_ago)
    )


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def test_rates_are_means_over_ten_seconds_and_users_are_active_for_five_minutes(
    db: Database[Document],
) -> None:
    receive(db, "too long ago", 302)
    receive(db, "a", 301, 200)
    receive(db, "b", 12, 11, 10, 2)
    receive(db, "perhaps not visible yet", 1, 0)
    assert IngestRate(db).sample(AT) == Rates(fixes_per_s=0.3, active_users=2, window_s=300)


def test_sample_reads_only_fixes_received_since_the_last(db: Database[Document]) -> None:
    receive(db, "a", 250)
    receive(db, "b", 100)
    rate = IngestRate(db)
    assert rate.sample(AT).active_users == 2
    db.fixes.delete_many({})
    receive(db, "c", -1)
    assert rate.sample(later(3)) == Rates(0.1, 3, 300)
    assert rate.sample(later(60)) == Rates(0.0, 2, 300)  # a is no longer active
    assert rate.sample(later(310)) == Rates(0.0, 0, 300)


def test_window_is_shorter_if_there_are_too_many_fixes(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_rate, "MAX_FIXES", 3)
    receive(db, "a", 100)
    receive(db, "b", 9, 8, 7, 6)
    rate = IngestRate(db)
    assert rate.sample(AT) == Rates(0.4, 1, 7)
    receive(db, "c", -1)
    assert rate.sample(later(4)) == Rates(0.3, 2, 11)


def test_clock_that_is_set_back_changes_nothing(db: Database[Document]) -> None:
    receive(db, "a", 100)
    rate = IngestRate(db)
    assert rate.sample(AT).active_users == 1
    assert rate.sample(later(-60)).active_users == 1
    receive(db, "b", -5)
    assert rate.sample(later(10)).active_users == 2


def test_sample_is_three_commands_by_an_index(
    watched: Database[Document], commands: Commands, db: Database[Document]
) -> None:
    receive(db, "old", *range(1_000, 1_300))
    receive(db, "a", 5)
    rate = IngestRate(watched)
    commands.names.clear()
    db.command("profile", 2)
    assert rate.sample(AT).active_users == 1
    db.command("profile", 0)
    assert commands.names == ["find", "aggregate", "aggregate"]
    plans = list(db["system.profile"].find({"planSummary": {"$exists": True}}))
    assert len(plans) == 3
    for plan in plans:
        assert "COLLSCAN" not in plan["planSummary"], plan
        assert plan["docsExamined"] <= 1

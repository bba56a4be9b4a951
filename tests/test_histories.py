"""Whatever happens to the fixes, and in whatever order: every minute is the reference's."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pymongo.database import Database

from locapi import erase, fixes, prune, rollup
from locapi.erase import erase as erase_user
from locapi.fixes import FixStore
from locapi.mongo import Document
from locapi.prune import prune as prune_fixes
from locapi.rollup import roll_up
from locapi.shares import Watcher
from locapi.verify import Report, verify
from tests import crashing
from tests.crashing import (
    NOW,
    Crash,
    Crasher,
    Operation,
    as_fix,
    crash,
    forget_pruned,
    received_earlier,
)
from tests.reference import Reference, Sent, differences

for name, histories in {"histories": 60, "prove": 5_000}.items():
    settings.register_profile(
        name,
        max_examples=histories,
        stateful_step_count=15,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )

PLACES = [
    ("America/New_York", 40.7, -74.0),
    ("America/Chicago", 41.8, -87.6),
    ("Australia/Lord_Howe", -31.55, 159.08),  # its clock goes back by half an hour
    ("Pacific/Fiji", -16.8, 179.99),
    ("Pacific/Fiji", -16.8, -179.99),
    ("Pacific/Fiji", -16.8, 180.0),
    ("Pacific/Fiji", -16.8, -180.0),
]
WALLS = [
    datetime(2017, 3, 12, 2, 29),  # New York's gap; an hour later Chicago's
    datetime(2017, 11, 5, 1, 29),  # the hour that both repeat
    datetime(2017, 4, 2, 1, 44),  # the half hour that Lord Howe repeats
    datetime(2017, 10, 1, 2, 10),  # its gap
    datetime(2017, 1, 15, 1, 29),  # Fiji's repeated hour is at 02:00
    datetime(2017, 6, 30, 23, 59),
    datetime(2017, 1, 1, 13, 5),
]
STEPS = [timedelta(minutes=minutes) for minutes in (0, 0, 0, 1, 30, 60, 90)]
MILLISECONDS = [0, 1, 500, 1_000, 30_000, 59_000, 59_999, 60_000]

walls = st.builds(
    lambda wall, step, ms: wall + step + timedelta(milliseconds=ms),
    st.sampled_from(WALLS),
    st.sampled_from(STEPS),
    st.sampled_from(MILLISECONDS),
)
users = st.sampled_from("ab")
places = st.sampled_from(PLACES)
jitters = st.floats(-0.009, 0.009)
numbers = st.floats(0, 1e6)


def at(place: tuple[str, float, float], jitter: float) -> dict[str, Any]:
    tz, lat, long = place
    return {"tz": tz, "lat": lat + jitter, "long": long + jitter if abs(long) < 180 else long}


sent = st.builds(
    lambda place, jitter, **others: Sent(**at(place, jitter), **others),
    places,
    jitters,
    user_id=users,
    wall=walls,
    accuracy=numbers,
    speed=numbers,
)
tracks = st.lists(sent, min_size=2, max_size=8)


def prune_all(db: Database[Document]) -> None:
    prune_fixes(db, timedelta(0))


def see_no_drift(db: Database[Document]) -> None:
    assert list(verify(db, Report(), repair=True)) == []


def share_of_roll_up(db: Database[Document]) -> None:
    roll_up(db, range(100, 128))


folding = st.sampled_from([roll_up, prune_all, share_of_roll_up])
# The slices of the two users are 67 and 121.
shares = st.sampled_from([range(100), range(100, 128), range(60, 70), range(3)])


class History(RuleBasedStateMachine):
    """One history of two users' fixes; `ending` is a client that can be made to crash."""

    def __init__(
        self, db: Database[Document], ending: Database[Document], crasher: Crasher
    ) -> None:
        super().__init__()
        self.db, self.ending, self.crasher = db, ending, crasher
        for name in ("fixes", "minutes", "watermarks", "erasures"):
            db[name].delete_many({})
        self.reference = Reference()
        self.sent: list[Sent] = []
        self.store = FixStore(db, lambda: NOW)
        self.watchers = [Watcher(db) for _ in range(3)]

    @initialize(fixes=tracks)
    def begin(self, fixes: list[Sent]) -> None:
        self._put_all(fixes)

    @rule()
    def restart(self) -> None:
        self.store = FixStore(self.db, lambda: NOW)

    @rule(fixes=tracks)
    def put(self, fixes: list[Sent]) -> None:
        self._put_all(fixes)

    @rule(data=st.data(), place=st.none() | places, jitter=jitters, us=st.integers(0, 999))
    def put_again(self, data: st.DataObject, place: Any, jitter: float, us: int) -> None:
        """Send a key once more: with other content, more digits, or from another place."""
        first = data.draw(st.sampled_from(self.sent))
        where = at(place, jitter) if place else {}
        wall = first.key[1] + timedelta(microseconds=us)
        self._put_all([replace(first, wall=wall, speed=first.speed + 1, **where)])

    @rule()
    def roll_up(self) -> None:
        roll_up(self.db)
        assert differences(self.db.minutes.find(), self.reference.minutes()) == []

    @rule()
    def prune(self) -> None:
        prune_all(self.db)
        forget_pruned(self.db, self.reference)
        assert self.reference.raw == {}

    @rule(which=st.integers(0, 2))
    def watch(self, which: int) -> None:
        """Let one of those who share the work do its share, as it knows it then."""
        roll_up(self.db, self.watchers[which].share())

    @rule(which=st.integers(0, 2), share=shares)
    def watch_and_prune(self, which: int, share: range) -> None:
        """Let one prune a share that has been another's for a while."""
        self.watchers[which].share()
        prune_fixes(self.db, timedelta(0), share)
        forget_pruned(self.db, self.reference)

    @rule(which=st.integers(0, 2), noticed=st.booleans())
    def a_watcher_dies(self, which: int, noticed: bool) -> None:
        """Let another come; where nobody notices, the dead one's lease still holds a share."""
        if noticed:
            self.watchers[which].leave()
        self.watchers[which] = Watcher(self.db)

    @rule(user_id=users)
    def an_older_version_has_stored(self, user_id: str) -> None:
        """Let raw fixes be of before there were slices."""
        self.db.fixes.update_many({"user_id": user_id}, {"$unset": {"slice": 1}})

    @rule(user_id=users)
    def erase(self, user_id: str) -> None:
        erase_user(self.db, user_id)
        self._erased(user_id)

    @rule()
    def verify(self) -> None:
        see_no_drift(self.db)

    @rule(fixes=tracks, one=folding, other=folding | st.just(see_no_drift))
    def two_at_once(self, fixes: list[Sent], one: Operation, other: Operation) -> None:
        self._put_all(fixes)
        self._together(one, other)

    @rule(fixes=tracks, user_id=users, other=folding)
    def erase_meanwhile(self, fixes: list[Sent], user_id: str, other: Operation) -> None:
        self._put_all(fixes)
        self._together(lambda db: erase_user(db, user_id), other)
        self._erased(user_id)

    @rule(fixes=tracks, operation=folding, command=st.integers(0, 25), after=st.booleans())
    def crash(self, fixes: list[Sent], operation: Operation, command: int, after: bool) -> None:
        self._put_all(fixes)
        self._crash(operation, command, after)
        forget_pruned(self.db, self.reference)

    @rule(
        user_id=users,
        command=st.integers(0, 12),
        after=st.booleans(),
        meanwhile=st.lists(folding, max_size=1),
    )
    def crash_while_erasing(
        self, user_id: str, command: int, after: bool, meanwhile: list[Operation]
    ) -> None:
        self._crash(lambda db: erase_user(db, user_id), command, after)
        for operation in meanwhile:
            operation(self.db)
        erase_user(self.db, user_id)
        self._erased(user_id)

    @rule(fix=sent, command=st.integers(0, 7), after=st.booleans())
    def crash_while_putting(self, fix: Sent, command: int, after: bool) -> None:
        """The phone hears nothing, and sends the fix again."""
        self._crash(lambda db: FixStore(db, lambda: NOW).put(as_fix(fix)), command, after)
        self.store.put(as_fix(fix))
        self.reference.put(fix)
        self.sent.append(fix)

    @rule()
    def an_hour_passes(self) -> None:
        """Let all that was received lie behind the watermark by more than its margin."""
        received_earlier(self.db, "fixes", "watermarks")

    def teardown(self) -> None:
        self.roll_up()
        self.verify()

    def _put_all(self, fixes: list[Sent]) -> None:
        for fix in fixes:
            receipt = self.store.put(as_fix(fix))
            assert receipt.status == self.reference.put(fix), fix
            if receipt.status == "stored":
                assert receipt.fix_time == self.reference.raw[fix.key].instant
            self.sent.append(fix)

    def _erased(self, user_id: str) -> None:
        self.reference.erase(user_id)
        forget_pruned(self.db, self.reference)
        assert self.db.erasures.find_one() is None

    def _together(self, *operations: Operation) -> None:
        with ThreadPoolExecutor(len(operations)) as threads:
            for job in [threads.submit(operation, self.db) for operation in operations]:
                job.result()
        forget_pruned(self.db, self.reference)

    def _crash(self, operation: Operation, command: int, after: bool) -> None:
        with self.crasher.at(command, after=after, end=crash), suppress(Crash):
            operation(self.ending)


@pytest.fixture
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process look at the horizon each time, and no page hold more than a few."""
    crashing.no_wait(monkeypatch)
    monkeypatch.setattr(fixes, "HORIZON_TRUST_S", 0.0)
    monkeypatch.setattr(prune, "_BATCH", 5)
    monkeypatch.setattr(rollup, "_KEYS_AT_ONCE", 2)
    monkeypatch.setattr(erase, "_PAGE", 2)


@pytest.mark.usefixtures("_small_steps")
def test_every_history_ends_in_the_reference_s_minutes(
    db: Database[Document], mongodb_uri: str
) -> None:
    profile = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "histories"))
    with crashing.crashing(mongodb_uri, db) as (ending, crasher):
        run_state_machine_as_test(partial(History, db, ending, crasher), settings=profile)  # type: ignore[arg-type]

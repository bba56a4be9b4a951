"""Whatever happens to fixes, in whatever order: every minute equals the reference."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pymongo.database import Database

from locapi.ingest.store import FixStore, Receipt
from locapi.rollup import erase, fold, prune
from locapi.rollup.erase import erase as erase_user
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.leases import RollupLease
from locapi.rollup.prune import announce, delete_old
from locapi.rollup.prune import prune as prune_fixes
from locapi.rollup.verify import Report, verify
from locapi.storage.documents import Document
from tests.support import crashing
from tests.support.crashing import (
    NOW,
    Crash,
    Crasher,
    Operation,
    as_fix,
    crash,
    forget_pruned,
    received_earlier,
)
from tests.support.follower import Follower
from tests.support.reference import Reference, Sent, differences
from tests.support.strategies import at, jitters, mixed, mixed_tracks, places, users

for name, histories in {"histories": 30, "prove": 5_000}.items():
    settings.register_profile(
        name,
        max_examples=histories,
        stateful_step_count=15,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def prune_all(db: Database[Document]) -> None:
    prune_fixes(db, timedelta(0))


def see_no_drift(db: Database[Document]) -> None:
    assert list(verify(db, Report(), repair=True)) == []


def fold_some_slices(db: Database[Document]) -> None:
    fold_new_fixes(db, range(100, 128))


folding = st.sampled_from([fold_new_fixes, prune_all, fold_some_slices])
# The slices of the two users are 67 and 121.
shares = st.sampled_from([range(100), range(100, 128), range(60, 70), range(3)])


class History(RuleBasedStateMachine):
    """One history of two users' fixes; `crashing` is a client that can be made to crash."""

    def __init__(
        self, db: Database[Document], crashing: Database[Document], crasher: Crasher
    ) -> None:
        super().__init__()
        self.db, self.crashing, self.crasher = db, crashing, crasher
        for name in ("fixes", "minutes", "watermarks", "erasures", "tombstones"):
            db[name].delete_many({})
        self.reference = Reference()
        self.sent: list[Sent] = []
        self.store = FixStore(db, lambda: NOW)
        self.leases = [RollupLease(db) for _ in range(3)]
        self.follower = Follower()

    @initialize(fixes=mixed_tracks)
    def begin(self, fixes: list[Sent]) -> None:
        self._put_all(fixes)

    @rule()
    def restart(self) -> None:
        self.store = FixStore(self.db, lambda: NOW)

    @rule(fixes=mixed_tracks)
    def put(self, fixes: list[Sent]) -> None:
        self._put_all(fixes)

    @rule(data=st.data(), place=st.none() | places, jitter=jitters, us=st.integers(0, 999))
    def put_again(self, data: st.DataObject, place: Any, jitter: float, us: int) -> None:
        """Send a fix again: with other content, more digits, or from another place."""
        first = data.draw(st.sampled_from(self.sent))
        again = first.moved(**at(place, jitter)) if place else first
        wall = again.key[1] + timedelta(microseconds=us)
        self._put_all([replace(again, wall=wall, speed=(first.speed or 0) + 1)])

    @rule()
    def roll_up(self) -> None:
        fold_new_fixes(self.db)
        assert differences(self.db.minutes.find(), self.reference.minutes()) == []

    @rule()
    def prune(self) -> None:
        prune_all(self.db)
        forget_pruned(self.db, self.reference)
        assert self.reference.raw == {}

    @rule(which=st.integers(0, 2))
    def fold_a_share(self, which: int) -> None:
        """Let one of the roll-ups that share the work do its share."""
        fold_new_fixes(self.db, self.leases[which].slices())

    @rule(fixes=mixed_tracks, folding=st.booleans(), share=shares)
    def prune_while_putting(self, fixes: list[Sent], folding: bool, share: range) -> None:
        """Put fixes that are old for a prune at once, before or after its fold."""
        horizon = announce(self.db, timedelta(0))
        if folding:
            fold_new_fixes(self.db, share)
        self._put_all(fixes)
        delete_old(self.db, horizon, share)
        forget_pruned(self.db, self.reference)

    @rule(which=st.integers(0, 2), released=st.booleans())
    def replace_a_roll_up(self, which: int, released: bool) -> None:
        """Let a new roll-up start; the lease of one that was killed still holds a share."""
        if released:
            self.leases[which].release()
        self.leases[which] = RollupLease(self.db)

    @rule(user_id=users)
    def erase(self, user_id: str) -> None:
        erase_user(self.db, user_id)
        self._erased(user_id)

    @rule()
    def verify(self) -> None:
        see_no_drift(self.db)

    @rule(fixes=mixed_tracks, one=folding, other=folding | st.just(see_no_drift))
    def two_at_once(self, fixes: list[Sent], one: Operation, other: Operation) -> None:
        self._put_all(fixes)
        self._together(one, other)

    @rule(fixes=mixed_tracks, user_id=users, other=folding)
    def erase_meanwhile(self, fixes: list[Sent], user_id: str, other: Operation) -> None:
        self._put_all(fixes)
        self._together(lambda db: erase_user(db, user_id), other)
        self._erased(user_id)

    @rule(fixes=mixed_tracks, operation=folding, command=st.integers(0, 25), after=st.booleans())
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

    @rule(fix=mixed, command=st.integers(0, 7), after=st.booleans())
    def crash_while_putting(self, fix: Sent, command: int, after: bool) -> None:
        """The phone gets no response, and sends the fix again."""
        self._crash(lambda db: FixStore(db, lambda: NOW).put(as_fix(fix)), command, after)
        self.store.put(as_fix(fix))
        self.reference.put(fix)
        self.sent.append(fix)

    @rule(stopped=st.booleans())
    def follow(self, stopped: bool) -> None:
        """Let a follower read what changed; one that is stopped forgets the next token."""
        token = self.follower.token
        self.follower.follow(self.db)
        self.follower.token = token if stopped else self.follower.token

    @rule(fixes=mixed_tracks, other=folding | st.just(see_no_drift))
    def follow_meanwhile(self, fixes: list[Sent], other: Operation) -> None:
        self._put_all(fixes)
        self._together(self.follower.follow, other)

    @rule(fixes=mixed_tracks, user_id=users)
    def follow_while_erasing(self, fixes: list[Sent], user_id: str) -> None:
        self._put_all(fixes)
        self._together(self.follower.follow, lambda db: erase_user(db, user_id))
        self._erased(user_id)

    @rule(
        fixes=mixed_tracks,
        operation=folding,
        erased=st.none() | users,
        command=st.integers(0, 12),
        after=st.booleans(),
    )
    def follow_between_commands(
        self,
        fixes: list[Sent],
        operation: Operation,
        erased: str | None,
        command: int,
        after: bool,
    ) -> None:
        """Follow between two commands of an operation, and again before each later one."""
        self._put_all(fixes)
        follow = partial(self.follower.follow, self.db)
        with self.crasher.at(command, after=after, end=follow):
            if erased is None:
                operation(self.crashing)
            else:
                erase_user(self.crashing, erased)
        if erased is None:
            forget_pruned(self.db, self.reference)
        else:
            self._erased(erased)

    @rule()
    def an_hour_passes(self) -> None:
        """Let everything received so far lie behind the watermark by more than the margin."""
        received_earlier(self.db, "fixes", "watermarks")

    def teardown(self) -> None:
        self.roll_up()
        self.verify()
        self.follower.follow(self.db)
        assert self.follower.differences(self.db) == []

    def _put_all(self, fixes: list[Sent]) -> None:
        receipts = self.store.put_many([as_fix(fix) for fix in fixes])
        for fix, receipt in zip(fixes, receipts, strict=True):
            assert isinstance(receipt, Receipt)
            assert receipt.status == self.reference.put(fix), fix
            if receipt.status == "stored":
                assert receipt.fix_time == self.reference.counted[-1].instant
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
            operation(self.crashing)


@pytest.fixture
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pages and windows be small."""
    monkeypatch.setattr(prune, "BATCH_FIXES", 5)
    monkeypatch.setattr(fold, "WINDOW_FIXES", 6)
    monkeypatch.setattr(fold, "IDS_AT_ONCE", 2)
    monkeypatch.setattr(erase, "PAGE_MINUTES", 2)
    # A failing history is shown within a minute, perhaps not the shortest one.
    monkeypatch.setattr(engine, "MAX_SHRINKING_SECONDS", 30)


@pytest.mark.usefixtures("no_wait", "_small_steps")
def test_every_history_ends_with_the_minutes_of_the_reference(
    db: Database[Document], mongodb_uri: str
) -> None:
    profile = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "histories"))
    with crashing.crashing(mongodb_uri, db) as (client, crasher):
        run_state_machine_as_test(partial(History, db, client, crasher), settings=profile)  # type: ignore[arg-type]

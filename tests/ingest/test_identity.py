"""Which fixes are one: local times and instants, repeated from any zone, pruned in between."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from pymongo.database import Database

from locapi.ingest import known_fixes
from locapi.ingest.store import FixStore, Receipt
from locapi.rollup.fold import fold_new_fixes
from locapi.rollup.prune import prune
from locapi.rollup.verify import Report, verify
from locapi.storage.documents import Document
from tests.support.crashing import NOW, as_fix, fix_id, forget_pruned
from tests.support.depth import examples
from tests.support.reference import Reference, Sent, differences, fix_at

PORTO, TUI = ("Europe/Lisbon", 42.0306, -8.6450), ("Europe/Madrid", 42.0440, -8.6450)
NEW_YORK, CHICAGO = ("America/New_York", 40.7, -74.0), ("America/Chicago", 41.8, -87.6)
speeds = st.none() | st.floats(0, 9)
SETBACK = datetime(2017, 11, 5, 6, tzinfo=UTC)  # in New York; an hour later in Chicago


@st.composite
def fixes(draw: st.DrawFn) -> Sent:
    """Return a fix of few, in either form, at a time that clocks show twice or in two zones."""
    minutes, seconds = draw(st.integers(-2, 3)) * 30, draw(st.sampled_from([0, 1, 30]))
    time = SETBACK + timedelta(minutes=minutes, seconds=seconds)
    tz, lat, long = draw(st.sampled_from([NEW_YORK, CHICAGO, PORTO, TUI]))
    fix = fix_at(time, tz, user_id="a", lat=lat, long=long, speed=draw(speeds))
    return fix if draw(st.booleans()) else replace(fix, instant=None)


tracks = st.lists(fixes(), min_size=1, max_size=6)

pytestmark = pytest.mark.usefixtures("no_wait")


def local(time: str, place: tuple[str, float, float] = NEW_YORK) -> Sent:
    return Sent("a", datetime.fromisoformat(time), *place)


def instant(time: str, place: tuple[str, float, float] = NEW_YORK) -> Sent:
    tz, lat, long = place
    moment = datetime.fromisoformat(time).replace(tzinfo=UTC)
    return fix_at(moment, tz, user_id="a", lat=lat, long=long)


REPEATED = [
    # The same local time, from the other side of a border.
    [local("2017-06-01 12:00", PORTO), local("2017-06-01 12:00", TUI)],
    # The same instant, once as a local time, and from the other side of a border.
    [local("2017-06-01 12:00", PORTO), instant("2017-06-01 11:00", PORTO)],
    [instant("2017-06-01 11:00", PORTO), local("2017-06-01 12:00", PORTO)],
    [instant("2017-06-01 11:00", PORTO), instant("2017-06-01 11:00", TUI)],
    [local("2017-06-01 12:00", PORTO), instant("2017-06-01 11:00", TUI)],
    # A local time that two instants have.
    [
        instant("2017-11-05 05:30"),
        instant("2017-11-05 06:30"),
        local("2017-11-05 01:30"),
        instant("2017-11-05 05:30"),
        instant("2017-11-05 06:30"),
    ],
    [local("2017-11-05 01:30"), instant("2017-11-05 06:30"), instant("2017-11-05 05:30")],
    # The first reading of a repeated hour, at the same instant as a fix from another zone.
    [local("2017-11-05 00:30", CHICAGO), local("2017-11-05 01:30")],
    # An instant whose local time another instant has, and that another local time means.
    [
        local("2017-01-01 12:00"),
        local("2017-01-01 12:00", PORTO),
        local("2017-01-01 13:00", TUI),
        instant("2017-01-01 12:00", PORTO),
    ],
]


@pytest.mark.parametrize("put", ["put", "put_many"])
@pytest.mark.parametrize("sent", REPEATED)
def test_a_repeat_is_a_duplicate_whatever_its_zone_and_whenever_a_prune_ran(
    db: Database[Document], sent: list[Sent], put: str
) -> None:
    for pruned_after in range(3):
        history = History(db)
        put_all = getattr(history, put)
        put_all(sent[:pruned_after])
        history.prune()
        put_all(sent[pruned_after:])
        history.teardown()


class History(RuleBasedStateMachine):
    """A history of one user's fixes, without crashes or rivals."""

    def __init__(self, db: Database[Document]) -> None:
        super().__init__()
        self.db, self.store, self.reference = db, FixStore(db, lambda: NOW), Reference()
        for name in ("fixes", "minutes", "watermarks"):
            db[name].delete_many({})

    @rule(fixes=tracks)
    def put(self, fixes: list[Sent]) -> None:
        for fix in fixes:
            self._check(fix, self.store.put(as_fix(fix)))

    @rule(fixes=tracks)
    def put_many(self, fixes: list[Sent]) -> None:
        with mock.patch.object(known_fixes, "MANY", 1):
            outcomes = self.store.put_many(map(as_fix, fixes))
        for fix, outcome in zip(fixes, outcomes, strict=True):
            self._check(fix, outcome)

    @rule()
    def prune(self) -> None:
        prune(self.db, timedelta(0))
        forget_pruned(self.db, self.reference)
        assert self.reference.raw == {}

    @rule()
    def roll_up(self) -> None:
        fold_new_fixes(self.db)
        assert differences(self.db.minutes.find(), self.reference.minutes()) == []
        raw = {document["_id"] for document in self.db.fixes.find({}, {"_id": 1})}
        assert raw == set(map(fix_id, self.reference.raw))

    def teardown(self) -> None:
        self.roll_up()
        assert list(verify(self.db, Report())) == []

    def _check(self, fix: Sent, outcome: object) -> None:
        assert isinstance(outcome, Receipt)
        assert outcome.status == self.reference.put(fix), fix
        assert outcome.fix_time in {copy.instant for copy in self.reference.copies(fix)}


def test_every_history_of_local_times_and_instants_ends_in_the_reference_s_minutes(
    db: Database[Document],
) -> None:
    depth = settings(
        max_examples=examples(25),
        stateful_step_count=12,
        deadline=None,
        phases=[Phase.reuse, Phase.generate],  # shrinking a history takes minutes
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(partial(History, db), settings=depth)  # type: ignore[arg-type]

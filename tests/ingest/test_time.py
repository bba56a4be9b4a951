"""Local times of every zone, checked against tzdata's files; repeated hours by chronology."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database
from timezonefinder import TimezoneFinder

from locapi.fixes import ids, timezones
from locapi.fixes.timezones import Instant
from locapi.fixes.validation import Fix
from locapi.ingest.store import FixStore, Receipt
from locapi.rollup import prune
from locapi.rollup.fold import fold_new_fixes
from locapi.storage.documents import Document
from tests.conftest import Commands
from tests.support import zones
from tests.support.depth import share
from tests.support.zones import END, EPOCH, moment, wall_at

ZONES = TimezoneFinder().timezone_names
MS = timedelta(milliseconds=1)
MINUTE = timedelta(minutes=1)


def test_wall_minutes_around_every_zone_change_convert_correctly() -> None:
    one_of_each_rules = {zones.rules(tz): tz for tz in ZONES}.values()
    wrong = [
        (tz, moment(wall))
        for tz in one_of_each_rules
        for wall, meant in zones.meanings(tz, zones.walls_around_changes(tz)[share(tz, 14)]).items()
        if timezones.zone_readings(moment(wall).replace(tzinfo=None), tz)
        != [Instant(moment(seconds), tz, offset) for seconds, offset in meant]
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("tz", "wall", "meant"),
    [
        # Half an hour is repeated, and skipped.
        ("Australia/Lord_Howe", "2017-04-02 01:30", ["2017-04-01 14:30", "2017-04-01 15:00"]),
        ("Australia/Lord_Howe", "2017-10-01 02:15", ["2017-09-30 15:45"]),
        # Two hours are.
        ("Antarctica/Troll", "2017-10-29 01:00", ["2017-10-28 23:00", "2017-10-29 01:00"]),
        # A day never was.
        ("Pacific/Apia", "2011-12-30 12:00", ["2011-12-30 22:00"]),
        ("Pacific/Kwajalein", "1993-08-21 12:00", ["1993-08-22 00:00"]),
        # The offset was no whole minute until 1972.
        ("Africa/Monrovia", "1972-01-07 00:44", ["1972-01-07 01:28:30"]),
        # No hour is repeated in the autumn in which the yearly rule begins.
        ("America/Nuuk", "2023-10-28 23:30", ["2023-10-29 01:30"]),
    ],
)
def test_unusual_zone_changes_convert_to_known_instants(
    tz: str, wall: str, meant: list[str]
) -> None:
    readings = timezones.zone_readings(datetime.fromisoformat(wall), tz)
    assert [reading.fix_time for reading in readings] == [
        datetime.fromisoformat(instant).replace(tzinfo=UTC) for instant in meant
    ]


def comes_back(instant: datetime, tz: str) -> bool:
    """Return whether an instant is a reading of its wall time, and its minute keeps its code."""
    wall, offset = wall_at(instant, tz), zones.offset_at(tz, instant)
    reading = Instant(instant, tz, round(offset.total_seconds()))
    mark = ids.seen_code(instant, reading.utc_offset)
    remembered, _ = ids.seen_fix_ids(ids.minute_id("a1", instant), mark)
    return reading in timezones.zone_readings(wall, tz) and remembered == ids.fix_id("a1", wall)


def test_instants_at_the_edges_of_every_change_are_readings_of_their_wall_time() -> None:
    one_of_each_rules = {zones.rules(tz): tz for tz in ZONES}.values()
    wrong = [
        (tz, instant)
        for tz in one_of_each_rules
        for old, new in list(zones.changes(tz))[share(tz, 2)]
        for seconds in (old.offset - new.offset, 0, new.offset - old.offset)
        for instant in (moment(new.start + seconds) - MS, moment(new.start + seconds))
        if not comes_back(instant, tz)
    ]
    assert wrong == []


@given(st.integers(0, (END - EPOCH) // MS - 1), st.sampled_from(ZONES))
def test_every_instant_is_a_reading_of_its_wall_time(milliseconds: int, tz: str) -> None:
    assert comes_back(EPOCH + milliseconds * MS, tz)


def test_every_offset_since_1970_fits_the_seen_code() -> None:
    offsets = {span.offset for tz in ZONES for span in zones.spans(tz) if span.end > 0}
    assert {offset % 30 for offset in offsets} == {0}
    ends = (EPOCH, EPOCH + MINUTE - MS)
    marks = [ids.seen_code(instant, offset) for offset in sorted(offsets) for instant in ends]
    assert marks == sorted(set(marks))
    assert -(2**31) <= marks[0] < marks[-1] < 2**31


@dataclass(frozen=True)
class Place:
    tz: str
    lat: float
    long: float

    def near(self) -> "Place":
        return replace(self, lat=self.lat + 0.01)


@dataclass(frozen=True)
class Sent:
    """A fix that a phone sent, and the instant at which it was taken."""

    instant: datetime
    place: Place

    @property
    def wall(self) -> datetime:
        return wall_at(self.instant, self.place.tz)

    def of(self, user_id: str) -> Fix:
        local_time = self.wall.isoformat(" ", "milliseconds")
        return Fix(user_id, local_time, self.wall, self.place.lat, self.place.long, 5.0, 1.5)


Track = list[Sent]
Meanwhile = Callable[[Database[Document]], object]


def restarted(db: Database[Document]) -> None:
    """Leave nothing but the database, as every fix is put by a process of its own."""


def raw_fixes_lost(db: Database[Document]) -> None:
    fold_new_fixes(db)
    db.fixes.delete_many({})


def pruned(db: Database[Document]) -> None:
    prune.prune(db, timedelta(0))


MEANWHILE: list[Meanwhile] = [restarted, fold_new_fixes, raw_fixes_lost, pruned]
_users = itertools.count()


def by_the_rule(sent: Track) -> list[Receipt]:
    """Return the right answers: a taken timestamp is a duplicate, else what came before decides."""
    kept: dict[datetime, Receipt] = {}
    answers = []
    for fix in sent:
        readings = timezones.zone_readings(fix.wall, fix.place.tz)
        has_later = any(receipt.fix_time > readings[0].fix_time for receipt in kept.values())
        instant = readings[-1] if has_later else readings[0]
        answer = Receipt("stored", instant.fix_time, instant.tz)
        if fix.wall in kept:
            answer = kept[fix.wall]._replace(status="duplicate")
        kept.setdefault(fix.wall, answer)
        answers.append(answer)
    return answers


def put_all(db: Database[Document], sent: Track, meanwhile: Meanwhile) -> list[Receipt]:
    """Put a new user's fixes, each by a process of its own, with something after each."""
    user_id = f"u{next(_users)}"
    receipts = []
    for fix in sent:
        receipts.append(FixStore(db).put(fix.of(user_id)))
        meanwhile(db)
    return receipts


pytestmark = pytest.mark.usefixtures("no_wait")


AUTUMNS = [
    (Place("America/New_York", 40.7, -74.0), datetime(2017, 11, 5, 6, tzinfo=UTC)),
    (Place("Europe/London", 51.5, -0.1), datetime(2017, 10, 29, 1, tzinfo=UTC)),
    (Place("Australia/Lord_Howe", -31.55, 159.08), datetime(2017, 4, 1, 15, tzinfo=UTC)),
    (Place("America/Santiago", -33.45, -70.66), datetime(2017, 5, 14, 3, tzinfo=UTC)),
    (Place("Antarctica/Troll", -72.01, 2.53), datetime(2017, 10, 29, 1, tzinfo=UTC)),
]
ACROSS_A_BORDER = [
    Place("America/Chicago", 41.8, -87.6),
    Place("America/Indiana/Indianapolis", 41.68, -86.25),
    Place("America/New_York", 40.7, -74.0),
]
on_one_database = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(("place", "change"), AUTUMNS, ids=[place.tz for place, _ in AUTUMNS])
@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_fixes_in_order_are_right_through_both_passes_of_a_repeated_hour(
    db: Database[Document], place: Place, change: datetime, meanwhile: Meanwhile
) -> None:
    track = [Sent(change + step * (17 * MINUTE + MS), place) for step in range(-5, 6)]
    assert put_all(db, track, meanwhile) == [
        Receipt("stored", fix.instant, place.tz) for fix in track
    ]


@on_one_database
@given(st.sampled_from(AUTUMNS), st.permutations(range(-4, 4)), st.sampled_from(MEANWHILE))
def test_fixes_out_of_order_are_read_by_the_fixes_before_them(
    db: Database[Document], autumn: tuple[Place, datetime], steps: list[int], meanwhile: Meanwhile
) -> None:
    place, change = autumn
    track = [Sent(change + step * (14 * MINUTE + MS), place) for step in steps]
    assert put_all(db, track, meanwhile) == by_the_rule(track)


@st.composite
def tracks(
    draw: st.DrawFn, places: list[Place], change: datetime, step: timedelta = 1001 * MS
) -> Track:
    """Move between places, each fix later than the one before by some steps."""
    start = change + draw(st.integers(-150, 60)) * MINUTE // step * step
    pauses = st.integers(1, 45 * MINUTE // step)
    moves = draw(st.lists(st.tuples(pauses, st.sampled_from(places)), min_size=1, max_size=12))
    steps = itertools.accumulate(pause for pause, _ in moves)
    return [Sent(start + n * step, place) for n, (_, place) in zip(steps, moves, strict=True)]


def assert_right_in_order(db: Database[Document], sent: Track) -> None:
    receipts = put_all(db, sent, restarted)
    assert receipts == by_the_rule(sent)
    stored = [
        (receipt.fix_time, fix.instant)
        for fix, receipt in zip(sent, receipts, strict=True)
        if receipt.status == "stored"
    ]
    assert stored == sorted(stored)
    assert all(fix_time <= instant for fix_time, instant in stored)


@on_one_database
@given(st.one_of([tracks([place, place.near()], change) for place, change in AUTUMNS]))
def test_fixes_in_order_never_go_back_in_time(db: Database[Document], sent: Track) -> None:
    assert_right_in_order(db, sent)


@on_one_database
@given(tracks(ACROSS_A_BORDER, AUTUMNS[0][1], step=10 * MINUTE))
def test_fixes_in_order_across_zones_are_right_unless_their_timestamp_is_taken(
    db: Database[Document], sent: Track
) -> None:
    assert_right_in_order(db, sent)


@on_one_database
@given(st.sampled_from(AUTUMNS), st.lists(st.integers(-6, 6), max_size=12), st.integers(0, 12))
def test_a_batch_is_read_as_if_its_fixes_were_put_one_by_one(
    db: Database[Document], autumn: tuple[Place, datetime], steps: list[int], alone: int
) -> None:
    place, change = autumn
    track = [Sent(change + step * (9 * MINUTE + MS), place) for step in steps]
    user_id, store = f"u{next(_users)}", FixStore(db)
    fixes = [fix.of(user_id) for fix in track]
    receipts = [*map(store.put, fixes[:alone]), *store.put_many(fixes[alone:])]
    assert receipts == by_the_rule(track)


def test_fixes_of_a_repeated_hour_share_their_look_ups(
    watched: Database[Document], commands: Commands
) -> None:
    place, change = AUTUMNS[0]
    track = [Sent(change + step * (MINUTE + MS), place).of("u") for step in range(-58, 59)]
    FixStore(watched).put_many(track)
    assert commands.names.count("insert") == len(track)
    assert commands.names.count("find") < 20

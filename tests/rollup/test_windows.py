"""What was received is split into windows: nothing left out, nothing twice, none too large."""

from bson import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from locapi.rollup import windows
from locapi.rollup.windows import BEGINNING
from locapi.storage.documents import Document
from tests.support.depth import examples

times = st.builds(Timestamp, st.integers(1, 3), st.integers(1, 3))
positions = st.tuples(st.integers(0, 4), times)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(20))
@given(
    received=st.lists(positions, max_size=25),
    slices=st.sampled_from([range(5), range(3), range(2, 5), range(1, 2), range(0)]),
    starts=st.lists(times | st.just(BEGINNING), min_size=5, max_size=5),
    end=times | st.just(windows.END),
    size=st.integers(1, 6),
)
def test_windows_split_all_that_was_received_of_some_slices_since_their_starts(
    db: Database[Document],
    received: list[tuple[int, Timestamp]],
    slices: range,
    starts: list[Timestamp],
    end: Timestamp,
    size: int,
) -> None:
    db.fixes.delete_many({})
    for number, (each, time) in enumerate(received):
        db.fixes.insert_one({"_id": number, "slice": each, "received_at": time})
    since = windows.starts(slices, starts)
    wanted = [
        number
        for number, (each, time) in enumerate(received)
        if each in since and since[each] <= time < end
    ]
    found = [
        [fix["_id"] for fix in db.fixes.find(window)]
        for window in windows.windows(db, since, size, end)
    ]
    assert sorted(number for window in found for number in window) == wanted
    if since:
        assert sorted(fix["_id"] for fix in db.fixes.find(windows.since(since, end))) == wanted
    # Fixes at one position of the index are in one window.
    most = max((received.count(position) for position in received), default=0)
    assert all(len(window) <= size + most for window in found)


def test_windows_are_found_by_the_index_alone(db: Database[Document]) -> None:
    since = windows.starts(range(3, 5), [Timestamp(7, each) for each in range(128)])
    found = db.fixes.find(windows.since(since), {"_id": 0, "slice": 1, "received_at": 1})
    plan = str(found.sort({"slice": 1, "received_at": 1}).explain()["queryPlanner"])
    assert "IXSCAN" in plan
    for slow in ("COLLSCAN", "FETCH", "'SORT'"):
        assert slow not in plan

"""What was received, in parts: none left out, none twice, none too large."""

from bson import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from locapi import windows
from locapi.mongo import Document
from locapi.windows import BEGINNING, Slice
from tests.depth import examples

slices = st.none() | st.integers(0, 4)
times = st.builds(Timestamp, st.integers(1, 3), st.integers(1, 3))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(20))
@given(
    received=st.lists(st.tuples(slices, times), max_size=25),
    share=st.sampled_from([range(5), range(3), range(2, 5), range(1, 2)]),
    starts=st.lists(times | st.just(BEGINNING), min_size=5, max_size=5),
    end=times | st.just(windows.END),
    size=st.integers(1, 6),
)
def test_windows_part_all_that_was_received_of_a_share_since_each_slice_s_start(
    db: Database[Document],
    received: list[tuple[Slice, Timestamp]],
    share: range,
    starts: list[Timestamp],
    end: Timestamp,
    size: int,
) -> None:
    db.fixes.delete_many({})
    for number, (each, time) in enumerate(received):
        # What is from before there were slices has none, and not one that is null.
        where = {} if each is None else {"slice": each}
        db.fixes.insert_one({"_id": number, "received_at": time, **where})
    since = windows.starts(share, starts)
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
    assert sorted(fix["_id"] for fix in db.fixes.find(windows.since(since, end))) == wanted
    # One place of the index, where several were received at once, no window can part.
    most = max((received.count(place) for place in received), default=0)
    assert all(len(window) <= size + most for window in found)


def test_windows_are_found_and_read_by_the_index_alone(db: Database[Document]) -> None:
    for share in (range(3, 5), range(2)):
        since = windows.starts(share, [Timestamp(7, each) for each in range(128)])
        found = db.fixes.find(windows.since(since), {"_id": 0, "slice": 1, "received_at": 1})
        plan = str(found.sort({"slice": 1, "received_at": 1}).explain()["queryPlanner"])
        assert "IXSCAN" in plan
        assert "COLLSCAN" not in plan
        assert "'SORT'" not in plan

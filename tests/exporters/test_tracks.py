"""Minutes become tracks by user and day, segments between gaps, and lines."""

from datetime import timedelta

import pytest

from locapi.exporters.query import Minutes
from locapi.exporters.tracks import MAX_STEP, Position, tracks
from tests.support.minutes import minute

EVENING = 700  # minutes after noon
MIDNIGHT = 720


def test_tracks_are_by_user_and_utc_day() -> None:
    pages = [
        [minute(after=EVENING), minute(after=MIDNIGHT - 1)],
        [minute(after=MIDNIGHT), minute("a2", after=MIDNIGHT)],
    ]
    found = [
        (each.user_id, each.day, each.start, each.last, len(each.minutes))
        for each in tracks(Minutes(pages))
    ]
    assert found == [
        ("a1", "2017-01-01", "2017-01-01T23:40:00Z", "2017-01-01T23:59:00Z", 2),
        ("a1", "2017-01-02", "2017-01-02T00:00:00Z", "2017-01-02T00:00:00Z", 1),
        ("a2", "2017-01-02", "2017-01-02T00:00:00Z", "2017-01-02T00:00:00Z", 1),
    ]


@pytest.mark.parametrize("minutes", [1, 15], ids=["minutes", "buckets"])
@pytest.mark.parametrize(
    ("places", "lengths"),
    [
        ([0], [1]),
        ([0, 1, MAX_STEP + 1, 2 * MAX_STEP + 2, 2 * MAX_STEP + 3], [3, 2]),
        ([0, MAX_STEP + 1, 2 * MAX_STEP + 2], [1, 1, 1]),
    ],
)
def test_gap_divides_a_track_into_segments(
    minutes: int, places: list[int], lengths: list[int]
) -> None:
    page = [minute(after=minutes * place) for place in places]
    (track,) = tracks(Minutes([page], span=timedelta(minutes=minutes)))
    segments = track.segments()
    assert [len(segment) for segment in segments] == lengths
    assert [row for segment in segments for row in segment] == page


@pytest.mark.parametrize(
    ("positions", "lines"),
    [
        ([(1.0, 2.0), (3.0, 4.0)], [[(1.0, 2.0), (3.0, 4.0)]]),
        ([(1.0, 2.0)], [[(1.0, 2.0), (1.0, 2.0)]]),
        ([(-90.0, 0.0), (90.0, 0.0)], [[(-90.0, 0.0), (90.0, 0.0)]]),
        (
            [(179.0, 0.0), (-178.0, 3.0), (-177.0, 3.0)],
            [[(179.0, 0.0), (180.0, 1.0)], [(-180.0, 1.0), (-178.0, 3.0), (-177.0, 3.0)]],
        ),
        (
            [(-179.0, 2.0), (179.0, 0.0), (-179.0, 2.0)],
            [
                [(-179.0, 2.0), (-180.0, 1.0)],
                [(180.0, 1.0), (179.0, 0.0), (180.0, 1.0)],
                [(-180.0, 1.0), (-179.0, 2.0)],
            ],
        ),
        (
            [(180.0, 1.0), (-180.0, 2.0)],
            [[(180.0, 1.0), (180.0, 1.0)], [(-180.0, 1.0), (-180.0, 2.0)]],
        ),
    ],
)
def test_line_is_cut_at_the_antimeridian(
    positions: list[Position], lines: list[list[Position]]
) -> None:
    page = [minute(after=at, long=long, lat=lat) for at, (long, lat) in enumerate(positions)]
    (track,) = tracks(Minutes([page]))
    assert track.lines() == lines


def test_lines_do_not_cross_gaps() -> None:
    longs = [1.0, 2.0, 3.0]
    page = [
        minute(after=at, long=long, lat=0.0) for at, long in zip([0, 1, 60], longs, strict=True)
    ]
    (track,) = tracks(Minutes([page]))
    assert track.lines() == [[(1.0, 0.0), (2.0, 0.0)], [(3.0, 0.0), (3.0, 0.0)]]

"""The sample tracks: the same bytes each time, and each with what it is there to show."""

import csv
import json
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from timezonefinder import TimezoneFinder

from simulation.dirt import dirty
from simulation.generate import DATA, FIELDS

Fix = dict[str, Any]
NUMBERS = FIELDS[1:5]
BAD_ROWS = 75  # which the API refuses in README.md


@cache
def finder() -> TimezoneFinder:
    return TimezoneFinder(in_memory=True)


def fixes(name: str) -> list[Fix]:
    with (DATA / name).open() as file:
        if name.endswith(".csv"):
            return [
                {**row, **{number: float(row[number]) for number in NUMBERS}}
                for row in csv.DictReader(file)
            ]
        return [json.loads(line) for line in file]


def by_user(name: str) -> dict[str, list[Fix]]:
    users: defaultdict[str, list[Fix]] = defaultdict(list)
    for fix in fixes(name):
        users[fix["user_id"]].append(fix)
    return users


def wall(fix: Fix) -> datetime:
    return datetime.fromisoformat(fix["timestamp"])


def instant(fix: Fix) -> datetime:
    zone = finder().timezone_at(lat=fix["lat"], lng=fix["long"])
    return wall(fix).replace(tzinfo=ZoneInfo(str(zone))).astimezone(UTC)


def rises(track: list[Fix]) -> bool:
    return all(before < after for before, after in pairwise(map(instant, track)))


def offsets_h(name: str) -> list[float]:
    """Return the offsets from UTC in the order in which they appear."""
    hour = timedelta(hours=1)
    found = [(wall(fix) - instant(fix).replace(tzinfo=None)) / hour for fix in fixes(name)]
    return list(dict.fromkeys(found))


def test_the_generator_writes_the_committed_bytes_wherever_it_runs(tmp_path: Path) -> None:
    script = str(DATA.parent / "generate.py")
    subprocess.run([sys.executable, script, "out"], cwd=tmp_path, check=True)
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert made == {path.name: path.read_bytes() for path in DATA.iterdir()}


@pytest.mark.parametrize("name", ["bicycles_new_york.csv", "walkers_new_york.ndjson"])
def test_new_yorkers_send_1_to_30_fixes_a_minute_and_repeat_half_from_elsewhere(name: str) -> None:
    keys = repeated = right_after = 0
    for track in by_user(name).values():
        per_minute = Counter(key[:16] for key in {fix["timestamp"] for fix in track})
        assert len(per_minute) == 14
        assert set(per_minute.values()) <= set(range(1, 31))
        rows: defaultdict[str, list[int]] = defaultdict(list)
        for number, fix in enumerate(track):
            rows[fix["timestamp"]].append(number)
        pairs = [numbers for numbers in rows.values() if len(numbers) == 2]
        assert all(len(numbers) <= 2 for numbers in rows.values())
        assert all(track[first]["lat"] != track[again]["lat"] for first, again in pairs)
        keys, repeated = keys + len(rows), repeated + len(pairs)
        right_after += sum(again == first + 1 for first, again in pairs)
    assert 0.45 < repeated / keys < 0.55
    assert 0 < right_after < repeated
    assert offsets_h(name) == [-5]


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("flight_new_york_los_angeles.ndjson", [-5, -6, -7, -8]),
        ("sea_atlantic.ndjson", [-3, -2, -1]),
        ("antimeridian_fiji.ndjson", [12]),
    ],
)
def test_local_times_fit_the_zones_that_are_crossed(name: str, hours: list[float]) -> None:
    assert rises(fixes(name))
    assert offsets_h(name) == hours


def test_the_antimeridian_is_crossed_within_minutes() -> None:
    signs: defaultdict[datetime, set[bool]] = defaultdict(set)
    for fix in fixes("antimeridian_fiji.ndjson"):
        signs[instant(fix).replace(second=0, microsecond=0)].add(fix["long"] < 0)
        assert abs(fix["long"]) > 179.99
    assert sum(len(both) == 2 for both in signs.values()) >= 10


def test_spring_track_has_the_gap_and_a_phone_that_changes_late() -> None:
    users = by_user("spring_new_york.ndjson")
    in_the_gap = {user: sum(wall(fix).hour == 2 for fix in track) for user, track in users.items()}
    assert in_the_gap["spring-punctual"] == 0
    assert in_the_gap["spring-late"] >= 5
    for track in users.values():
        assert rises(track)
        assert {wall(fix).hour for fix in track} >= {1, 3}


def test_autumn_has_the_repeated_hour_twice_in_order_and_without_a_shared_key() -> None:
    walls = [wall(fix) for fix in fixes("autumn_new_york.ndjson")]
    (back,) = [n for n, (before, after) in enumerate(pairwise(walls), 1) if after < before]
    for half, hours in ((walls[:back], {0, 1}), (walls[back:], {1, 2})):
        assert {time.hour for time in half} == hours
        assert {time.minute for time in half if time.hour == 1} == set(range(60))
    assert len(set(walls)) == len(walls)


def test_every_kind_of_bad_row_is_different() -> None:
    kinds = list(dirty(dict.fromkeys(FIELDS, 1.0)))
    assert len(set(kinds)) == len(kinds) == BAD_ROWS

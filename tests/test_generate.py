"""The sample tracks: the same bytes each time, and each with what it is there to show."""

import csv
import json
import math
import re
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
from simulation.generate import DATA, FIELDS, TRACKS, generate

Fix = dict[str, Any]
NEW_YORK = ["bicycles_new_york.csv", "walkers_new_york.ndjson"]
NUMBERS = FIELDS[1:5]


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


def offsets_h(name: str) -> list[float]:
    """The offsets from UTC in the order they are met."""
    met = [
        (wall(fix) - instant(fix).replace(tzinfo=None)) / timedelta(hours=1) for fix in fixes(name)
    ]
    return list(dict.fromkeys(met))


def test_generating_again_gives_the_committed_bytes(tmp_path: Path) -> None:
    generate(tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in DATA.iterdir()}


def test_the_generator_runs_as_a_script_from_anywhere(tmp_path: Path) -> None:
    script = DATA.parent / "generate.py"
    subprocess.run([sys.executable, str(script), "out"], cwd=tmp_path, check=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(TRACKS)


def test_the_tracks_are_small_enough_to_keep_and_to_replay() -> None:
    contents = [path.read_bytes() for path in DATA.iterdir()]
    assert sum(map(len, contents)) <= 3_000_000
    assert 6_000 <= sum(content.count(b"\n") for content in contents) <= 9_000


@pytest.mark.parametrize("name", sorted(set(TRACKS) - {"dirt.ndjson"}))
def test_clean_tracks_hold_fixes_as_the_contract_wants_them(name: str) -> None:
    for fix in fixes(name):
        assert tuple(fix) == FIELDS
        assert re.fullmatch(r"2017-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", fix["timestamp"])
        assert all(isinstance(fix[number], float) for number in NUMBERS)
        assert abs(fix["lat"]) <= 90
        assert abs(fix["long"]) <= 180
        assert min(fix["accuracy"], fix["speed"]) >= 0


@pytest.mark.parametrize("name", NEW_YORK)
def test_new_yorkers_send_1_to_30_fixes_a_minute(name: str) -> None:
    for track in by_user(name).values():
        keys = {fix["timestamp"] for fix in track}
        per_minute = Counter(key[:16] for key in keys)
        assert len(per_minute) == 14
        assert set(per_minute.values()) <= set(range(1, 31))
    assert offsets_h(name) == [-5]


@pytest.mark.parametrize("name", NEW_YORK)
def test_half_of_new_yorks_keys_are_repeated_with_another_position(name: str) -> None:
    keys = repeated = right_after = 0
    for track in by_user(name).values():
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


@pytest.mark.parametrize(
    ("name", "hours"),
    [
        ("flight_new_york_los_angeles.ndjson", [-5, -6, -7, -8]),
        ("sea_atlantic.ndjson", [-3, -2, -1]),
        ("antimeridian_fiji.ndjson", [12]),
    ],
)
def test_wall_times_fit_the_zones_that_are_crossed(name: str, hours: list[float]) -> None:
    instants = [instant(fix) for fix in fixes(name)]
    assert all(before < after for before, after in pairwise(instants))
    assert offsets_h(name) == hours


def test_the_antimeridian_is_crossed_within_minutes() -> None:
    signs: defaultdict[datetime, set[bool]] = defaultdict(set)
    for fix in fixes("antimeridian_fiji.ndjson"):
        signs[instant(fix).replace(second=0, microsecond=0)].add(fix["long"] < 0)
        assert abs(fix["long"]) > 179.99
    assert sum(len(both) == 2 for both in signs.values()) >= 10


def test_spring_has_a_gap_and_a_phone_that_is_late_to_jump_it() -> None:
    users = by_user("spring_new_york.ndjson")
    in_the_gap = {user: sum(wall(fix).hour == 2 for fix in track) for user, track in users.items()}
    assert in_the_gap["spring-punctual"] == 0
    assert in_the_gap["spring-late"] >= 5
    for track in users.values():
        instants = [instant(fix) for fix in track]
        assert all(before < after for before, after in pairwise(instants))
        assert {wall(fix).hour for fix in track} >= {1, 3}


def test_autumn_lives_the_repeated_hour_twice_in_order_and_without_a_shared_key() -> None:
    walls = [wall(fix) for fix in fixes("autumn_new_york.ndjson")]
    back = [n for n, (before, after) in enumerate(pairwise(walls), 1) if after < before]
    assert len(back) == 1
    first, second = walls[: back[0]], walls[back[0] :]
    for minute in range(60):
        assert any((time.hour, time.minute) == (1, minute) for time in first)
        assert any((time.hour, time.minute) == (1, minute) for time in second)
    assert [{time.hour for time in times} for times in (first, second)] == [{0, 1}, {1, 2}]
    assert len(set(walls)) == len(walls)


def is_sound(line: str) -> bool:
    """Say whether this is a good row of the dirt track, whose good fixes are all alike."""
    try:
        fix = json.loads(line)
        return bool(
            set(fix) == set(FIELDS)
            and len(line) < 200
            and line.count('"lat"') == 1
            and re.fullmatch(r"2017-01-02 13:[0-9]{2}:[0-9]{2}\.[0-9]{3}", fix["timestamp"])
            and fix["user_id"] == "dirt"
            and all(type(fix[number]) is float and math.isfinite(fix[number]) for number in NUMBERS)
            and abs(fix["lat"] - 40.78) < 1
            and abs(fix["long"] + 73.97) < 1
            and min(fix["accuracy"], fix["speed"]) >= 0
        )
    except (ValueError, TypeError, RecursionError):
        return False


def test_dirt_has_every_kind_of_bad_row_between_good_ones() -> None:
    lines = (DATA / "dirt.ndjson").read_text().splitlines()
    sound = [is_sound(line) for line in lines]
    assert sound.count(False) == len(list(dirty(dict.fromkeys(FIELDS, 1.0))))
    assert (sound[0], sound[-1]) == (True, True)
    assert all(before or after for before, after in pairwise(sound))


def test_every_kind_of_dirt_is_different() -> None:
    kinds = list(dirty(dict.fromkeys(FIELDS, 1.0)))
    assert len(set(kinds)) == len(kinds)

"""Make the sample tracks in `data/`: seeded, so that every run writes the same bytes.

Run it as `python simulation/generate.py [DIRECTORY]`; it needs the standard library only.
"""

import argparse
import csv
import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, islice, zip_longest
from pathlib import Path
from random import Random  # only .random(), the one method whose numbers no Python release changes
from zoneinfo import ZoneInfo

if not __package__:  # run as a script: imports start at the checkout, as with -m
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from simulation.dirt import dirty

Fix = dict[str, object]
Place = tuple[float, float]

DATA = Path(__file__).parent / "data"
FIELDS = ("timestamp", "lat", "long", "accuracy", "speed", "user_id")
NEW_YORK = "America/New_York"
CENTRAL_PARK = (40.7812, -73.9665)
DEGREE_NORTH_M = 111_200.0
DEGREE_EAST_M = 84_300.0  # at New York's latitude


def instants(
    dice: Random, start: datetime, periods: int, fewest: int, most: int, period_s: int = 60
) -> Iterator[datetime]:
    """Yield `fewest` to `most` rising instants in each period, to the millisecond."""
    for period in range(periods):
        count = fewest + int(dice.random() * (most - fewest + 1))
        for ms in sorted({int(dice.random() * period_s * 1000) for _ in range(count)}):
            yield start + timedelta(seconds=period * period_s, milliseconds=ms)


def fix(
    dice: Random, user: str, instant: datetime, zone: str, lat: float, long: float, speed: float
) -> Fix:
    """Return what a phone sends at that instant, on a clock set to that zone."""
    local = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return {
        "timestamp": local.isoformat(" ", "milliseconds"),
        "lat": round(lat, 6),
        "long": round(long, 6),
        "accuracy": round(3 + 27 * dice.random() ** 3, 1),
        "speed": round(speed, 2),
        "user_id": user,
    }


def stroll(
    dice: Random, user: str, when: Iterable[datetime], start: Place, pace: float, zone: str
) -> Iterator[Fix]:
    """Yield a walk from a place in or near New York, at about `pace` metres a second."""
    lat, long = start
    north = east = 0.0
    before = None
    for instant in when:
        seconds = (instant - (before or instant)).total_seconds()
        before = instant
        north = 0.9 * north + pace * (dice.random() - 0.5)
        east = 0.9 * east + pace * (dice.random() - 0.5)
        lat += north * seconds / DEGREE_NORTH_M
        long += east * seconds / DEGREE_EAST_M
        yield fix(dice, user, instant, zone, lat, long, math.sqrt(north * north + east * east))


def with_repeats(dice: Random, track: Iterable[Fix]) -> Iterator[Fix]:
    """Yield the track with half of its fixes repeated from elsewhere, up to five fixes later."""
    waiting: list[tuple[int, Fix]] = []
    for number, good in enumerate(track):
        yield good
        if dice.random() < 0.5:
            waiting.append((number + int(dice.random() * 6), elsewhere(dice, good)))
        yield from (again for due, again in waiting if due <= number)
        waiting = [(due, again) for due, again in waiting if due > number]
    yield from (again for _, again in waiting)


def elsewhere(dice: Random, good: Fix) -> Fix:
    """Return the fix moved by up to a hundred metres, with the same key."""
    lat = float(str(good["lat"])) + (dice.random() - 0.5) * 0.002
    return {**good, "lat": round(lat, 6), "accuracy": round(30 + 70 * dice.random(), 1)}


def new_york(dice: Random, name: str, users: int, pace: float) -> Iterator[Fix]:
    """Yield several users at once, 1 to 30 fixes a minute, half of the keys repeated."""
    start = datetime(2017, 1, 1, 18, 5, tzinfo=UTC)  # 13:05 in New York
    tracks = []
    for number in range(1, users + 1):
        home = (40.70 + 0.1 * dice.random(), -74.0 + 0.1 * dice.random())
        when = instants(dice, start, 14, 1, 30)
        track = stroll(dice, f"{name}-{number:02}", when, home, pace, NEW_YORK)
        tracks.append(list(with_repeats(dice, track)))
    return (sent for turn in zip_longest(*tracks) for sent in turn if sent)


# Where the flight turns or another wall time begins, and the zone of the leg that starts there.
FLIGHT = (
    (40.64, -73.78, NEW_YORK),
    (40.9981, -86.9306, "America/Chicago"),
    (41.0, -87.0, "America/Chicago"),
    (40.0759, -101.3242, "America/Denver"),
    (39.86, -104.67, "America/Denver"),
    (36.4773, -114.0486, "America/Los_Angeles"),
    (36.08, -115.15, "America/Los_Angeles"),
    (33.94, -118.41, "America/Los_Angeles"),
)


def flight(dice: Random) -> Iterator[Fix]:
    """Yield a flight from New York to Los Angeles, on a phone that follows each zone's time."""
    minutes = 320
    take_off = datetime(2017, 1, 14, 17, 0, tzinfo=UTC)
    west, east = FLIGHT[-1][1], FLIGHT[0][1]
    for instant in instants(dice, take_off, minutes, 1, 2):
        long = east + (west - east) * ((instant - take_off) / timedelta(minutes=minutes))
        leg = max(n for n, point in enumerate(FLIGHT[:-1]) if point[1] >= long)
        (lat_a, long_a, zone), (lat_b, long_b, _) = FLIGHT[leg : leg + 2]
        lat = lat_a + (lat_b - lat_a) * (long - long_a) / (long_b - long_a)
        yield fix(dice, "flight", instant, zone, lat, long, 195 + 10 * dice.random())


def antimeridian(dice: Random) -> Iterator[Fix]:
    """Yield a walk that crosses 180 degrees repeatedly, on Taveuni, Fiji."""
    start = datetime(2017, 6, 10, 20, 0, tzinfo=UTC)
    for instant in instants(dice, start, 45, 8, 12):
        seconds = (instant - start).total_seconds()
        zigzag = 2 * abs(seconds / 140 % 2 - 1) - 1
        long = 180 + 0.001 * zigzag
        if long > 180:
            long -= 360
        yield fix(dice, "taveuni", instant, "Pacific/Fiji", -16.85 + seconds * 1e-6, long, 1.52)


def spring(dice: Random) -> Iterator[Fix]:
    """Yield two users in the night clocks go forward; one phone is set three minutes late."""
    start = datetime(2017, 3, 12, 6, 30, tzinfo=UTC)  # clocks change at 07:00 UTC
    punctual = instants(dice, start, 60, 4, 6)
    late = instants(dice, start, 33, 4, 6)
    set_at_last = instants(dice, start + timedelta(minutes=33), 27, 4, 6)
    tracks = (
        stroll(dice, "spring-punctual", punctual, CENTRAL_PARK, 1.2, NEW_YORK),
        chain(
            stroll(dice, "spring-late", late, CENTRAL_PARK, 1.2, "Etc/GMT+5"),
            stroll(dice, "spring-late", set_at_last, CENTRAL_PARK, 1.2, NEW_YORK),
        ),
    )
    return (sent for turn in zip_longest(*tracks) for sent in turn if sent)


def autumn(dice: Random) -> Iterator[Fix]:
    """Yield one user, in order, in the night in which clocks repeat an hour."""
    start = datetime(2017, 11, 5, 4, 40, tzinfo=UTC)  # clocks change at 06:00 UTC
    when = instants(dice, start, 150, 3, 5)
    return stroll(dice, "autumn", when, CENTRAL_PARK, 1.2, NEW_YORK)


def sea(dice: Random) -> Iterator[Fix]:
    """Yield four days across the Atlantic, where each 15 degrees of longitude are a zone."""
    start = datetime(2017, 5, 2, tzinfo=UTC)
    days = 4
    for instant in instants(dice, start, days * 72, 1, 3, period_s=1200):
        long = -50 + 40 * ((instant - start) / timedelta(days=days))
        zone = f"Etc/GMT{-round(long / 15):+d}"  # the sign is inverted by convention
        yield fix(dice, "ship", instant, zone, 42.1, long, 9 + dice.random())


def dirt(dice: Random) -> Iterator[Fix | str]:
    """Yield one user, with every kind of bad row between the good fixes."""
    start = datetime(2017, 1, 2, 18, 5, tzinfo=UTC)
    when = instants(dice, start, 30, 12, 12)
    track = stroll(dice, "dirt", when, CENTRAL_PARK, 1.2, NEW_YORK)
    bad = dirty(next(track))
    for number, good in enumerate(with_repeats(dice, track)):
        yield good
        if number % 5 == 4:
            yield from islice(bad, 1)


def as_ndjson(rows: Iterable[Fix | str]) -> str:
    """Return one JSON object a line; a row that is text already stays as it is."""
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def as_csv(fixes: Iterable[Fix]) -> str:
    """Return a header and one fix a line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(fixes)
    return text.getvalue()


TRACKS: dict[str, Callable[[Random], str]] = {
    "antimeridian_fiji.ndjson": lambda dice: as_ndjson(antimeridian(dice)),
    "autumn_new_york.ndjson": lambda dice: as_ndjson(autumn(dice)),
    "bicycles_new_york.csv": lambda dice: as_csv(new_york(dice, "bicycle", users=4, pace=5.0)),
    "dirt.ndjson": lambda dice: as_ndjson(dirt(dice)),
    "flight_new_york_los_angeles.ndjson": lambda dice: as_ndjson(flight(dice)),
    "sea_atlantic.ndjson": lambda dice: as_ndjson(sea(dice)),
    "spring_new_york.ndjson": lambda dice: as_ndjson(spring(dice)),
    "walkers_new_york.ndjson": lambda dice: as_ndjson(new_york(dice, "walker", users=10, pace=1.2)),
}


def generate(directory: Path) -> None:
    """Write every track into the directory, which is created if it does not exist."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, track in TRACKS.items():
        (directory / name).write_bytes(track(Random(name)).encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the sample tracks.")
    parser.add_argument("directory", nargs="?", type=Path, default=DATA, help=f"default: {DATA}")
    generate(parser.parse_args().directory)

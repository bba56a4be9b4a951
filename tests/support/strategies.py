"""Hypothesis strategies: JSON values, and fixes where clocks and longitudes are awkward."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.support import reference
from tests.support.reference import Sent

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
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
numbers = st.none() | st.floats(0, 1e6)


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


@st.composite
def instants(draw: st.DrawFn) -> Sent:
    """Return a fix that is sent as an instant: one that a local time means, maybe elsewhere."""
    there, here = draw(places), draw(places)
    time, _ = draw(st.sampled_from(reference.instants(draw(walls), there[0])))
    fields = {**at(here, draw(jitters)), "accuracy": draw(numbers), "speed": draw(numbers)}
    return reference.fix_at(time, user_id=draw(users), **fields)


mixed = st.one_of(sent, instants())
mixed_tracks = st.lists(mixed, min_size=2, max_size=8)

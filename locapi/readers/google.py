"""Google's location history: what a phone measured, in each form that Google has exported it.

`locations` (Records.json); `rawSignals` and the `timelinePath` of `semanticSegments`
(Timeline.json of an Android phone); a list of segments (location-history.json of an iPhone);
`timelineObjects` with their `simplifiedRawPath` (a month's semantic history). Visits and
activities are conclusions, with a place and no measurement: they are passed over.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

from locapi.errors import InvalidFix
from locapi.readers.columns import Columns
from locapi.readers.elements import elements
from locapi.readers.rows import Broken, Row

_E7 = 10_000_000  # by this many, degrees are whole numbers
_PAIR = re.compile(r"(?:geo:)?(-?[0-9.]+)°?\s*,\s*(-?[0-9.]+)°?")  # 48.8°, 2.3° or geo:48.8,2.3

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Values = dict[str, Any]


def rows(stream: BinaryIO, columns: Columns) -> Iterator[Row]:
    """Yield a row for each position that was measured; for what is not of its form, one too."""
    for key, place, value in elements(stream):
        if key is None:
            _check(value)
        elif key in _POINTS:
            yield from _rows(key, place, value, columns)


def _check(document: Any) -> None:
    if not isinstance(document, dict) or not document.keys() & _POINTS.keys():
        raise Broken(f"it has none of {', '.join(filter(None, _POINTS))}")


def _rows(key: str, place: str, value: Any, columns: Columns) -> Iterator[Row]:
    try:
        points = list(_POINTS[key](value))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        yield Row(place, value, InvalidFix("it is not of the form that Google's exports have"))
        return
    for number, values in enumerate(points):
        exactly = place if len(points) == 1 else f"{place}, position {number}"
        yield Row(exactly, values, columns.pick(values))


def _of_record(record: Values) -> Iterator[Values]:
    yield {
        **record,
        "timestamp": _time(record),
        "lat": _degrees(record.get("latitudeE7")),
        "long": _degrees(record.get("longitudeE7")),
        "speed": record.get("velocity"),
    }


def _of_signal(signal: Values) -> Iterator[Values]:
    if (position := signal.get("position")) is not None:  # else of Wi-Fi, or of an activity
        yield {
            **position,
            **_pair(position["LatLng"]),
            "accuracy": position.get("accuracyMeters"),
            "speed": position.get("speedMetersPerSecond"),
        }


def _of_segment(segment: Values) -> Iterator[Values]:
    for point in segment.get("timelinePath", ()):
        time = point.get("time") or _after(
            segment["startTime"], point["durationMinutesOffsetFromStartTime"]
        )
        yield {**point, **_pair(point["point"]), "timestamp": time}


def _of_activity(item: Values) -> Iterator[Values]:
    path = item.get("activitySegment", {}).get("simplifiedRawPath", {})
    for point in path.get("points", ()):
        yield {
            **point,
            "timestamp": _time(point),
            "lat": _degrees(point["latE7"]),
            "long": _degrees(point["lngE7"]),
            "accuracy": point.get("accuracyMeters"),
        }


_POINTS: dict[str, Callable[[Values], Iterator[Values]]] = {
    "locations": _of_record,
    "semanticSegments": _of_segment,
    "rawSignals": _of_signal,
    "timelineObjects": _of_activity,
    "": _of_segment,
}


def _time(values: Values) -> Any:
    if "timestampMs" not in values:
        return values.get("timestamp")
    return (_EPOCH + timedelta(milliseconds=int(values["timestampMs"]))).isoformat()


def _after(start: str, minutes: str | float) -> str:
    return (datetime.fromisoformat(start) + timedelta(minutes=float(minutes))).isoformat()


def _degrees(e7: float | None) -> float | None:
    return None if e7 is None else e7 / _E7


def _pair(text: str) -> Values:
    found = _PAIR.fullmatch(text)
    return {"lat": float(found[1]), "long": float(found[2])} if found else {}

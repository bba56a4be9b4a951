"""Google's location history: what a phone measured, in each form that Google has exported it.

`locations` (Records.json); `rawSignals` and the `timelinePath` of `semanticSegments`
(Timeline.json of an Android phone); a list of segments (location-history.json of an iPhone);
`timelineObjects` with their `simplifiedRawPath` (a month's semantic history). Visits and
activities are Google's conclusions, not measurements: they are skipped.
"""

import re
from collections.abc import Callable, Generator, Iterator
from datetime import datetime, timedelta
from io import BufferedReader
from itertools import chain, islice
from typing import Any

from locapi.errors import InvalidFix
from locapi.importers.fields import FieldMapping, read_number
from locapi.importers.json_stream import elements
from locapi.importers.row import BadRow, BrokenFile, Row, Skipped, as_list, as_object

_E7 = 10_000_000  # degrees are whole numbers of this fraction
_MAX_E7 = 180 * _E7
_E7_WRAP = 2**32  # some exports have negative degrees as unsigned numbers
_PAIR = re.compile(r"(?:geo:)?(-?[0-9.]{1,30})°?\s*,\s*(-?[0-9.]{1,30})°?")
_CONCLUSIONS = ("visit", "activity", "placeVisit", "activitySegment", "timelineMemory")
_NOUNS = {"placeVisit": "visit", "activitySegment": "activity", "timelineMemory": "memory"}

Values = dict[str, Any]


def read(stream: BufferedReader, mapping: FieldMapping) -> Generator[Row | Skipped, None, None]:
    """Yield a row for each position that was measured."""
    for key, place, value in elements(stream):
        if key is None:
            _check(value)
        elif key in _POSITIONS:
            yield from _rows(key, place, value, mapping)


def _check(document: Any) -> None:
    if not isinstance(document, dict) or not document.keys() & _POSITIONS.keys():
        raise BrokenFile(f"it has none of {', '.join(filter(None, _POSITIONS))}")


def _rows(key: str, place: str, value: Any, mapping: FieldMapping) -> Iterator[Row | Skipped]:
    try:
        positions = _POSITIONS[key](as_object(value))
        first = list(islice(positions, 2))
        for number, each in enumerate(chain(first, positions)):
            if isinstance(each, Skipped):
                yield each
            else:
                exactly = place if len(first) == 1 else f"{place}, position {number}"
                yield mapping.row(exactly, each)
    except BadRow as fault:
        yield Row(place, value, InvalidFix(f"not as Google writes it: {fault}"))


def _of_record(record: Values) -> Iterator[Values]:
    yield {
        **record,
        "timestamp": _time(record),
        "lat": _degrees(record.get("latitudeE7")),
        "long": _degrees(record.get("longitudeE7")),
        "speed": record.get("velocity"),
    }


def _of_signal(signal: Values) -> Iterator[Values | Skipped]:
    if "position" not in signal:  # of Wi-Fi networks or of an activity
        yield Skipped("signal without a position")
        return
    position = as_object(signal["position"], "position")
    yield {
        **position,
        **_pair(position.get("LatLng")),
        "accuracy": position.get("accuracyMeters"),
        "speed": position.get("speedMetersPerSecond"),
    }


def _of_segment(segment: Values) -> Iterator[Values | Skipped]:
    if "timelinePath" not in segment:
        yield _skipped(segment)
        return
    for each in as_list(segment["timelinePath"], "timelinePath"):
        point = each if isinstance(each, dict) else {}
        time = point.get("time") or _after(
            segment.get("startTime"), point.get("durationMinutesOffsetFromStartTime")
        )
        yield {**point, **_pair(point.get("point")), "timestamp": time}


def _of_activity(item: Values) -> Iterator[Values | Skipped]:
    segment = as_object(item.get("activitySegment") or item.get("placeVisit") or {})
    if "simplifiedRawPath" not in segment:
        yield _skipped(item)
        return
    path = as_object(segment["simplifiedRawPath"], "simplifiedRawPath")
    for each in as_list(path.get("points", []), "points"):
        point = each if isinstance(each, dict) else {}
        yield {
            **point,
            "timestamp": _time(point),
            "lat": _degrees(point.get("latE7")),
            "long": _degrees(point.get("lngE7")),
            "accuracy": point.get("accuracyMeters"),
        }


_POSITIONS: dict[str, Callable[[Values], Iterator[Values | Skipped]]] = {
    "locations": _of_record,
    "semanticSegments": _of_segment,
    "rawSignals": _of_signal,
    "timelineObjects": _of_activity,
    "": _of_segment,
}


def _skipped(segment: Values) -> Skipped:
    kind = next((key for key in _CONCLUSIONS if key in segment), "segment without a path")
    return Skipped(_NOUNS.get(kind, kind))


def _time(values: Values) -> Any:
    return values.get("timestampMs", values.get("timestamp"))


def _after(start: Any, minutes: Any) -> str | None:
    minutes = read_number(minutes)
    if not isinstance(minutes, float):
        return None
    try:
        return (datetime.fromisoformat(start) + timedelta(minutes=minutes)).isoformat()
    except (OverflowError, TypeError, ValueError):  # the start is missing or no time
        return None


def _degrees(e7: Any) -> Any:
    number = read_number(e7)
    if not isinstance(number, float):  # missing, or for the rules to reject
        return number
    return (number - _E7_WRAP if number > _MAX_E7 else number) / _E7


def _pair(text: Any) -> Values:
    found = _PAIR.fullmatch(text) if isinstance(text, str) else None
    return {"lat": found[1], "long": found[2]} if found else {}

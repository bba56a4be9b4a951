"""The contract in memory: every fix that was submitted first counts once.

It shares no code with locapi: it finds times by trying the offsets of a zone, and means with
`math.fsum` over all fixes; it folds nothing.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

DAY = timedelta(days=1)
MIDNIGHT = datetime(1970, 1, 1, tzinfo=UTC)
Key = tuple[str, datetime]
Minute = tuple[str, datetime]
AVERAGED = ("lat", "long", "accuracy", "speed")


@dataclass(frozen=True)
class Sent:
    """A fix as it is sent; `tz` is the zone of its position, `instant` is None for a local time."""

    user_id: str
    wall: datetime
    tz: str
    lat: float
    long: float
    accuracy: float | None = 5.0
    speed: float | None = 1.0
    instant: datetime | None = None

    @property
    def key(self) -> Key:
        milliseconds = self.wall.microsecond // 1000
        return self.user_id, self.wall.replace(microsecond=milliseconds * 1000)

    def moved(self, tz: str, lat: float, long: float) -> "Sent":
        """Return the same local time, or the same instant, sent from another place."""
        wall = wall_at(self.instant, tz) if self.instant else self.wall
        return replace(self, wall=wall, tz=tz, lat=lat, long=long)


@dataclass(frozen=True)
class Counted:
    """A fix that counts: what was sent, and the instant that it means."""

    sent: Sent
    instant: datetime
    offset: timedelta


@dataclass
class Reference:
    """The contract as the plainest program that keeps it."""

    counted: list[Counted] = field(default_factory=list)
    raw: dict[Key, Counted] = field(default_factory=dict)
    _at: dict[Key, list[Counted]] = field(default_factory=lambda: defaultdict(list))

    def put(self, sent: Sent) -> str:
        """Return "stored" or "duplicate": the first fix wins for ever."""
        if self.copies(sent):
            return "duplicate"
        if sent.instant is not None:
            instant, offset = sent.instant, sent.wall.replace(tzinfo=UTC) - sent.instant
        else:
            (instant, offset), *second = instants(sent.key[1], sent.tz)
            if second and any(fix.instant > instant for fix in self._of(sent.user_id)):
                instant, offset = second[0]
        fix = Counted(sent, instant, offset)
        self.counted.append(fix)
        self._at[sent.key].append(fix)
        self._at[sent.user_id, instant].append(fix)
        self.raw[self._raw_key(fix)] = fix
        return "stored"

    def copies(self, sent: Sent) -> list[Counted]:
        """Return what counts at the local time, or at the instant, as which it is sent."""
        return self._at[(sent.user_id, sent.instant) if sent.instant else sent.key]

    def prune(self, keys: Iterable[Key]) -> None:
        """Delete raw fixes; they still count."""
        for key in keys:
            del self.raw[key]

    def erase(self, user_id: str) -> None:
        """Remove everything of a user."""
        self.counted = [fix for fix in self.counted if fix.sent.user_id != user_id]
        for by_key in (self.raw, self._at):
            for key in [key for key in by_key if key[0] == user_id]:
                del by_key[key]

    def minutes(self) -> dict[Minute, dict[str, float]]:
        """Return count and averages by user and UTC minute."""
        return averages(self.counted)

    def _raw_key(self, fix: Counted) -> Key:
        """Return the local time, with its UTC offset if another fix is stored at it."""
        user_id, wall = fix.sent.key
        if fix.sent.key in self.raw:
            return user_id, wall.replace(tzinfo=timezone(fix.offset))
        return fix.sent.key

    def _of(self, user_id: str) -> list[Counted]:
        return [fix for fix in self.counted if fix.sent.user_id == user_id]


def fix_at(instant: datetime, tz: str, **fields: Any) -> Sent:
    """Return a fix that is sent as a UTC instant."""
    return Sent(wall=wall_at(instant, tz), tz=tz, instant=instant, **fields)


def wall_at(instant: datetime, tz: str) -> datetime:
    """Return the local time of a zone at an instant."""
    return (instant + _offset(instant, ZoneInfo(tz))).replace(tzinfo=None)


def averages(
    fixes: Iterable[Counted], span: timedelta = timedelta(minutes=1)
) -> dict[Minute, dict[str, float]]:
    """Return count and plain means by user and UTC minute, or longer span of UTC."""
    groups: dict[Minute, list[Sent]] = defaultdict(list)
    for fix in fixes:
        start = fix.instant - (fix.instant - MIDNIGHT) % span
        groups[fix.sent.user_id, start].append(fix.sent)
    return {minute: _average(group) for minute, group in groups.items()}


def instants(wall: datetime, tz: str) -> list[tuple[datetime, timedelta]]:
    """Return the UTC instants whose local time is `wall`, each with its UTC offset, in order.

    In a gap there is none; then the offset before the gap applies.
    """
    zone = ZoneInfo(tz)
    as_utc = wall.replace(tzinfo=UTC)
    before, after = (_offset(as_utc + step, zone) for step in (-DAY, DAY))
    found = [
        (as_utc - offset, offset)
        for offset in sorted({before, after}, reverse=True)
        if _offset(as_utc - offset, zone) == offset
    ]
    return found or [(as_utc - before, before)]


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()


def _average(fixes: list[Sent]) -> dict[str, float]:
    averages = zip(AVERAGED, means([vars(fix) for fix in fixes]), strict=True)
    return {"count": len(fixes), **dict(averages)}


def means(fixes: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the plain mean of each averaged field, None if no fix has it.

    Across the antimeridian it is that of the short way.
    """
    longs = [fix["long"] for fix in fixes]
    if max(longs) - min(longs) > 180:
        longs = [long + 360 if long < 0 else long for long in longs]
    columns = [longs if name == "long" else [fix[name] for fix in fixes] for name in AVERAGED]
    lat, long, *others = map(_mean, columns)
    return [lat, long - 360 if long > 180 else long, *others]


def _mean(values: Sequence[float | None]) -> Any:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def differences(
    minutes: Iterable[dict[str, Any]], expected: dict[Minute, dict[str, float]]
) -> list[str]:
    """Return a sentence for each difference between stored and expected minutes."""
    found = []
    left = dict(expected)
    for minute in minutes:
        name = f"{minute['user_id']} {minute['minute']:%Y-%m-%d %H:%M}"
        if minute.get("missing"):
            found.append(f"{name} still has missing {minute['missing']}")
        if not len(set(minute["seen"])) == len(minute["seen"]) == minute["count"]:
            found.append(f"{name} has count {minute['count']} and seen {minute['seen']}")
        wanted = left.pop((minute["user_id"], minute["minute"]), None)
        if wanted is None:
            found.append(f"{name} should not exist")
            continue
        found += [
            f"{name} has {value} {minute[value]!r} instead of {wanted[value]!r}"
            for value in wanted
            if not _same(value, minute[value], wanted[value])
        ]
    return found + [f"{user_id} {minute:%Y-%m-%d %H:%M} is missing" for user_id, minute in left]


def _same(name: str, value: float | None, wanted: float | None) -> bool:
    if name == "count" or value is None or wanted is None:
        return value == wanted
    off = value - wanted
    if name == "long":  # 180 and -180 are one meridian
        if not -180 <= value <= 180:
            return False
        off = (off + 180) % 360 - 180
    return abs(off) <= 1e-9 * max(1.0, abs(wanted))


def close(values: Iterable[Any]) -> list[Any]:
    """Return what equals these values to 1e-9; None equals None."""
    return [value and pytest.approx(value, rel=1e-9, abs=1e-9) for value in values]

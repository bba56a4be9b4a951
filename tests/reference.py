"""What a minute is, in memory: every fix that was submitted first, seen once.

It shares no code with locapi: time comes from the zones' rules by trying offsets,
means from `math.fsum` over all fixes, and nothing is ever folded.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
MIDNIGHT = datetime(1970, 1, 1, tzinfo=UTC)
Key = tuple[str, datetime]
Minute = tuple[str, datetime]


@dataclass(frozen=True)
class Sent:
    """A fix as a phone sends it; `tz` is the zone that its position lies in."""

    user_id: str
    wall: datetime
    tz: str
    lat: float
    long: float
    accuracy: float = 5.0
    speed: float = 1.0

    @property
    def key(self) -> Key:
        milliseconds = self.wall.microsecond // 1000
        return self.user_id, self.wall.replace(microsecond=milliseconds * 1000)


@dataclass(frozen=True)
class Counted:
    """A fix that counts: what was sent, and the instant it was taken to mean."""

    sent: Sent
    instant: datetime
    offset: timedelta


@dataclass
class Reference:
    """The contract as the plainest program that keeps it."""

    counted: list[Counted] = field(default_factory=list)
    raw: dict[Key, Counted] = field(default_factory=dict)
    pruned: set[tuple[Key, timedelta]] = field(default_factory=set)

    def put(self, sent: Sent) -> str:
        """Return "stored" or "duplicate": a key's first fix wins for ever."""
        readings = instants(sent.key[1], sent.tz)
        known = any((sent.key, offset) in self.pruned for _, offset in readings)
        if known or sent.key in self.raw:
            return "duplicate"
        instant, offset = readings[0]
        if len(readings) > 1 and any(fix.instant > instant for fix in self._of(sent.user_id)):
            instant, offset = readings[1]
        fix = Counted(sent, instant, offset)
        self.counted.append(fix)
        self.raw[sent.key] = fix
        return "stored"

    def prune(self, keys: Iterable[Key]) -> None:
        """Forget raw fixes; of each, the key and the UTC offset are remembered."""
        for key in keys:
            self.pruned.add((key, self.raw.pop(key).offset))

    def erase(self, user_id: str) -> None:
        """Forget all of a user."""
        self.counted = [fix for fix in self.counted if fix.sent.user_id != user_id]
        self.raw = {key: fix for key, fix in self.raw.items() if key[0] != user_id}
        self.pruned = {known for known in self.pruned if known[0][0] != user_id}

    def minutes(self) -> dict[Minute, dict[str, float]]:
        """Return count and averages by user and UTC minute."""
        return averages(self.counted)

    def _of(self, user_id: str) -> list[Counted]:
        return [fix for fix in self.counted if fix.sent.user_id == user_id]


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

    In a gap no instant has it; then the offset before the gap holds.
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
    longs = [fix.long for fix in fixes]
    if max(longs) - min(longs) > 180:
        longs = [long + 360 if long < 0 else long for long in longs]
    columns = {
        "lat": [fix.lat for fix in fixes],
        "long": longs,
        "accuracy": [fix.accuracy for fix in fixes],
        "speed": [fix.speed for fix in fixes],
    }
    means = {name: math.fsum(values) / len(fixes) for name, values in columns.items()}
    return {"count": len(fixes), **means}


def differences(
    minutes: Iterable[dict[str, Any]], expected: dict[Minute, dict[str, float]]
) -> list[str]:
    """Return in words how the stored minutes differ from the expected; [] where they agree."""
    told = []
    left = dict(expected)
    for minute in minutes:
        name = f"{minute['user_id']} {minute['minute']:%Y-%m-%d %H:%M}"
        if minute.get("missing"):
            told.append(f"{name} still misses {minute['missing']}")
        if not len(set(minute["seen"])) == len(minute["seen"]) == minute["count"]:
            told.append(f"{name} counts {minute['count']} and remembers {minute['seen']}")
        wanted = left.pop((minute["user_id"], minute["minute"]), None)
        if wanted is None:
            told.append(f"{name} should not be there")
            continue
        told += [
            f"{name} has {value} {minute[value]!r} instead of {wanted[value]!r}"
            for value in wanted
            if not _same(value, minute[value], wanted[value])
        ]
    return told + [f"{user_id} {minute:%Y-%m-%d %H:%M} is lacking" for user_id, minute in left]


def _same(name: str, value: float, wanted: float) -> bool:
    if name == "count":
        return value == wanted
    off = value - wanted
    if name == "long":  # 180 and -180 are one meridian
        if not -180 <= value <= 180:
            return False
        off = (off + 180) % 360 - 180
    return abs(off) <= 1e-9 * max(1.0, abs(wanted))

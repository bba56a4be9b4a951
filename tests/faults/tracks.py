"""Tracks for fault runs: through autumn changes of clocks, with late and repeated fixes."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.support.reference import Key, Sent

NEW_YORK = "America/New_York"
# What the API's clock shows, give or take eleven hours: nothing sent lies a day ahead of that.
CLOCK = datetime(2018, 1, 1, tzinfo=UTC)
JUMP_H = 11
_SETBACKS = [  # at 6:00 UTC, when 2:00 in New York becomes 1:00 again
    datetime(year, 11, day, 6, tzinfo=UTC)
    for year, day in zip(range(2008, 2018), (2, 1, 7, 6, 4, 3, 2, 1, 6, 5), strict=True)
]
_LATE, _REPEATED = 0.05, 0.1  # shares


@dataclass(frozen=True)
class Ask:
    """A fix to send, and whether its key was answered before: then its content is another."""

    sent: Sent
    repeated: bool = False


class Track:
    """One user's fixes without end, the same for the same seed."""

    def __init__(self, user_id: str, seed: str, instants: Iterator[datetime]) -> None:
        self._random = random.Random(seed)
        self._user_id = user_id
        self._instants = instants
        self._sent: dict[Key, Sent] = {}

    def __iter__(self) -> Iterator[Ask]:
        """Yield what to send next; what was yielded before counts as answered."""
        for instant in self._instants:
            yield self._ask(instant)
            if self._random.random() < _LATE:
                yield self._ask(instant - timedelta(minutes=self._random.uniform(1, 90)))
            if self._random.random() < _REPEATED:
                again = self._random.choice(list(self._sent.values()))
                yield Ask(replace(again, lat=again.lat + 0.1), repeated=True)

    def _ask(self, instant: datetime) -> Ask:
        wall = instant.astimezone(ZoneInfo(NEW_YORK)).replace(tzinfo=None, fold=0)
        some = self._random.uniform
        position = (40.7 + some(-0.01, 0.01), -74.0 + some(-0.01, 0.01))
        sent = Sent(self._user_id, wall, NEW_YORK, *position, some(1, 50), some(0, 30))
        repeated = sent.key in self._sent
        self._sent.setdefault(sent.key, sent)
        return Ask(sent, repeated)


def autumns(seed: str) -> Iterator[datetime]:
    """Yield instants through the nights in which an hour comes twice, year after year."""
    steps = random.Random(seed)
    for setback in _SETBACKS * 100:
        instant = setback - timedelta(minutes=steps.uniform(5, 50))
        while instant < setback + timedelta(minutes=70):
            yield _milliseconds(instant)
            instant += timedelta(seconds=steps.uniform(1, 40))


def ahead(seed: str) -> Iterator[datetime]:
    """Yield instants as far ahead of the API's clock as they may be when it is farthest behind."""
    steps = random.Random(seed)
    instant = CLOCK + timedelta(hours=JUMP_H + 1)
    while instant < CLOCK + timedelta(hours=24 - JUMP_H):
        yield _milliseconds(instant)
        instant += timedelta(seconds=steps.uniform(0.1, 0.9))


def _milliseconds(instant: datetime) -> datetime:
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)

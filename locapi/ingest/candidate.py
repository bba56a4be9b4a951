"""Turn a valid fix into the raw fix to store: what its time can mean, and its document."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from bson import Timestamp

from locapi import times
from locapi.errors import InvalidFix
from locapi.fixes import averages, faults, hints, ids, timezones, validation
from locapi.fixes.display import format_fault
from locapi.fixes.timezones import Instant
from locapi.fixes.validation import EARLIEST, Fix
from locapi.rollup import watermarks
from locapi.storage.documents import Document

# A user, with a naive local time or a UTC instant, as the fix was sent.
Identity = tuple[str, datetime]


class Candidate(NamedTuple):
    """A fix to store, and the readings of its time: two in an hour that clocks repeat, else one."""

    fix: Fix
    readings: list[Instant]

    @property
    def id(self) -> str:
        """Return the `_id` of the raw fix, unless another instant has it."""
        return ids.fix_id(self.fix.user_id, self.fix.wall)

    @property
    def identity(self) -> Identity:
        """Return what a repeat of the fix has in common with it."""
        return self.fix.user_id, self.fix.fix_time or self.fix.wall

    @property
    def is_instant(self) -> bool:
        """Return whether the fix was sent as an instant, not as a local time."""
        return self.fix.fix_time is not None

    @property
    def is_ambiguous(self) -> bool:
        """Return whether the user's other fixes decide which reading holds."""
        return len(self.readings) > 1

    def may_be_pruned(self, horizon: Timestamp | None) -> bool:
        """Return whether a first copy of the fix, from whatever zone, may have been pruned."""
        if horizon is None:
            return False
        wall, time = times.utc(self.fix.wall), self.fix.fix_time
        earliest = time or wall - timedelta(seconds=timezones.utc_offsets()[-1])
        return watermarks.may_be_pruned(earliest, horizon)

    def places(self, horizon: Timestamp | None) -> Iterator[tuple[str, int]]:
        """Yield the minute ids and seen codes that a pruned copy of the fix may have.

        A copy may have been sent from any zone. If none can have been pruned, only those of
        its own readings are left, in case the process knows an outdated horizon.
        """
        user_id, wall, time = self.fix.user_id, self.fix.wall, self.fix.fix_time
        if self.may_be_pruned(horizon):
            for offset in timezones.utc_offsets():
                instant = time or wall - timedelta(seconds=offset)
                yield ids.minute_id(user_id, instant), ids.seen_code(instant, offset)
        else:
            for instant, _, offset in self.readings:
                yield ids.minute_id(user_id, instant), ids.seen_code(instant, offset)


def read_time(fix: Fix) -> Candidate:
    """Return a fix with the readings of its time; raises InvalidFix for a year out of range."""
    if not validation.is_in_range(fix.wall):
        raise out_of_range(fix.wall.year, fix)  # before it overflows
    if fix.fix_time is None:
        return Candidate(fix, timezones.readings(fix.wall, fix.lat, fix.long))
    utc_offset = times.utc(fix.wall) - fix.fix_time
    tz = timezones.zone_at(fix.lat, fix.long)
    return Candidate(fix, [Instant(fix.fix_time, tz, round(utc_offset.total_seconds()))])


def document_of(fix: Fix, instant: Instant, *, offset_in_id: bool = False) -> Document:
    """Return the raw fix as it is stored, except for `received_at`, which mongod fills in.

    An instant has the UTC offset in its id if another instant has its local time.
    """
    return {
        "_id": ids.fix_id(fix.user_id, fix.wall, instant.utc_offset if offset_in_id else None),
        "user_id": fix.user_id,
        "local_time": fix.local_time,
        "lat": fix.lat,
        "long": fix.long,
        "accuracy": fix.accuracy,
        "speed": fix.speed,
        "fix_time": instant.fix_time,
        "tz": instant.tz,
        "utc_offset": instant.utc_offset,
        "received_at": watermarks.BY_SERVER,
        "slice": ids.slice_of(fix.user_id),
        # The roll-up groups by these two; they are computed once, here.
        "minute_id": ids.minute_id(fix.user_id, instant.fix_time),
        "seen_code": ids.seen_code(instant.fix_time, instant.utc_offset),
        **averages.markers(fix.accuracy, fix.speed),
    }


def out_of_range(year: int, fix: Fix) -> InvalidFix:
    """Return the error for an instant before 1970 or too far in the future."""
    example = hints.A_FIX["timestamp"]
    wanted = f"must mean an instant from 1970-01-01 UTC to one day from now, such as {example}"
    advice = hints.out_of_range(year, EARLIEST.year)
    return faults.invalid_fix({"timestamp": [format_fault(wanted, fix.local_time, advice)]})

"""Look up first copies that the database already has, raw or pruned."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from bson import Timestamp
from pymongo.database import Database
from pymongo.errors import OperationFailure

from locapi import times
from locapi.concurrency import greenlets
from locapi.fixes import ids, timezones
from locapi.ingest.candidate import Candidate, Identity
from locapi.storage import read_points
from locapi.storage.collections import BY_USER_AND_TIME
from locapi.storage.documents import FIXES, MINUTES, Document

MANY = 500  # fixes put together: from here on it pays to find out whether they are repeats
_LARGE = 1_000  # seen codes: of a minute with more, the database sends those that are asked for
_GAP = timedelta(days=1)  # between minutes that one query looks up
_NOT_A_REPLICA_SET = 123
# The millisecond within a minute of its latest fix.
_LATEST_MS = {"$max": {"$map": {"input": "$seen", "in": ids.seen_milliseconds("$$this")}}}
NEVER = datetime.min.replace(tzinfo=UTC)


class Copy(NamedTuple):
    """The instant of a fix that is kept, and the zone it was sent from."""

    fix_time: datetime
    tz: str


Copies = dict[Identity, Copy]


class KnownFixes:
    """Reads of fixes and minutes; threads may share it."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        self._has_elections = True  # until the database answers otherwise

    def copies_of(self, candidates: Iterable[Candidate], horizon: Timestamp | None) -> Copies:
        """Return the first copies of those fixes for which an insert would not find one.

        These are fixes that may be pruned, and those of which a copy can have another id: at
        an ambiguous time it can have been read otherwise, and an instant can have been sent
        from another zone. For the last two it does not matter whether `horizon` is outdated.
        If the fixes seem to be sent again, the raw copies of the others are returned too.
        """
        instants, hidden, plain = [], [], []
        for each in candidates:
            if each.is_instant:
                instants.append(each)
            elif each.is_ambiguous or each.may_be_pruned(horizon):
                hidden.append(each)
            else:
                plain.append(each)
        # Raw fixes before minutes: a prune deletes a fix only after its minute counts it.
        copies = self._raw_at(instants) if instants else {}
        if local := hidden + (plain if self._seem_repeated(plain) else []):
            found = self.raw_copies([each.id for each in local])
            copies |= {each.identity: found[each.id] for each in local if each.id in found}
        hidden += [each for each in instants if each.may_be_pruned(horizon)]
        rest = [each for each in hidden if each.identity not in copies]
        return {**self._counted(rest, horizon), **copies} if rest else copies

    def _seem_repeated(self, candidates: Sequence[Candidate]) -> bool:
        """Return whether many fixes are sent that are probably stored, as the first one is.

        Then one query for all of them takes far less time than an insert that fails for each.
        """
        return len(candidates) >= MANY and bool(self.raw_copies([candidates[0].id]))

    @greenlets.run_in_thread
    def raw_copies(self, fix_ids: Collection[str]) -> dict[str, Copy]:
        """Return the raw fixes with these ids."""
        fields = {"fix_time": 1, "tz": 1}
        wanted = {"_id": {"$in": list(fix_ids)}}
        # One more than there can be, so that the first response is known to be the last.
        raw = self._database[FIXES].find(wanted, fields, batch_size=len(fix_ids) + 1)
        return {each["_id"]: _copy_of_raw(each) for each in raw}

    @greenlets.run_in_thread
    def _raw_at(self, instants: Sequence[Candidate]) -> Copies:
        instants_of: dict[str, list[datetime]] = defaultdict(list)
        for each in instants:
            user_id, time = each.identity
            instants_of[user_id].append(time)
        wanted = {
            "_id": {**ids.of_user(min(instants_of)), "$lt": ids.of_user(max(instants_of))["$lt"]},
            # Not all users at all times: that may be a million fixes.
            "$or": [
                {"user_id": user_id, "fix_time": {"$in": at}} for user_id, at in instants_of.items()
            ],
        }
        fields = {"user_id": 1, "fix_time": 1, "tz": 1}
        options: Document = {"hint": BY_USER_AND_TIME, "batch_size": len(instants) + 1}
        raw = self._find(FIXES, wanted, fields, **options)
        return {(each["user_id"], each["fix_time"]): _copy_of_raw(each) for each in raw}

    @greenlets.run_in_thread
    def _counted(self, candidates: Sequence[Candidate], horizon: Timestamp | None) -> Copies:
        """Return the pruned copies, which only their minutes still count."""
        wanted: dict[str, set[int]] = defaultdict(set)
        for each in candidates:
            for minute_id, code in each.places(horizon):
                wanted[minute_id].add(code)
        latest = any(each.is_ambiguous for each in candidates)
        copies: Copies = {}
        for minute_ids in _spans(sorted(wanted)):
            fields = _fields({code for minute_id in minute_ids for code in wanted[minute_id]})
            for minute in self._find(
                MINUTES, {"_id": ids.among(minute_ids)}, fields, latest=latest
            ):
                for code in wanted[minute["_id"]].intersection(minute["seen"]):
                    copies |= _copies_of_seen(minute, code)
        return copies

    @greenlets.run_in_thread
    def latest_raw(self, user_id: str) -> datetime:
        """Return the instant of the user's latest raw fix; NEVER if there is none."""
        fixes = {"_id": ids.of_user(user_id), "user_id": user_id}
        newest = [(name, -1) for name, _ in BY_USER_AND_TIME]
        options: Document = {"hint": BY_USER_AND_TIME, "sort": newest, "limit": 1}
        found = self._find(FIXES, fixes, {"_id": 0, "fix_time": 1}, **options)
        return max((each["fix_time"] for each in found), default=NEVER)

    @greenlets.run_in_thread
    def latest_counted(self, user_id: str) -> datetime:
        """Return the instant of the latest fix that a minute of the user counts, or NEVER."""
        newest, fields = {"_id": ids.of_user(user_id)}, {"minute": 1, "ms": _LATEST_MS}
        found = self._find(MINUTES, newest, fields, sort=[("_id", -1)], limit=1)
        times = (each["minute"] + timedelta(milliseconds=each["ms"] or 0) for each in found)
        return max(times, default=NEVER)

    def _find(
        self, collection: str, *query: Any, latest: bool = True, **options: Any
    ) -> list[Document]:
        """Find documents, with `latest` as of the last write that any process was answered."""
        documents = self._database[collection]
        if latest and self._has_elections:
            try:
                return list(read_points.linearizable(documents).find(*query, **options))
            except OperationFailure as error:
                if error.code != _NOT_A_REPLICA_SET:
                    raise
                self._has_elections = False
        return list(documents.find(*query, **options))


def _copy_of_raw(raw: Document) -> Copy:
    return Copy(raw["fix_time"], raw["tz"])


def _spans(minute_ids: Sequence[str]) -> Iterator[list[str]]:
    """Yield sorted ids in groups of one user each, without long gaps in between."""
    span: list[str] = []
    for minute_id in minute_ids:
        if span and not _is_near(span[-1], minute_id):
            yield span
            span = []
        span.append(minute_id)
    yield span


def _is_near(minute_id: str, following: str) -> bool:
    (user_id, time), (next_user_id, next_time) = map(ids.parse_minute_id, (minute_id, following))
    return user_id == next_user_id and next_time - time <= _GAP


def _fields(codes: Collection[int]) -> Document:
    """Return the fields of a minute that give the copies with some of these seen codes."""
    asked_for = {"$setIntersection": ["$seen", list(codes)]}
    seen = {"$cond": [{"$gt": [{"$size": "$seen"}, _LARGE]}, asked_for, "$seen"]}
    return {"lat": 1, "long": 1, "seen": seen}


def _copies_of_seen(minute: Document, code: int) -> Copies:
    """Return a fix that a minute counts, both as an instant and as a local time."""
    user_id, start = ids.parse_minute_id(minute["_id"])
    time = ids.seen_time(start, code)
    wall = (time + timedelta(seconds=ids.seen_utc_offset(code))).replace(tzinfo=None)
    copy = Copy(time, timezones.zone_at(minute["lat"], minute["long"]))
    return {(user_id, time): copy, (user_id, wall): copy}


class LatestInstants:
    """The latest instants of users' fixes, read when they are needed and then kept.

    Use it for a moment only: of what other processes store meanwhile it knows nothing.
    """

    def __init__(self, known: KnownFixes) -> None:
        self._raw, self._counted = cache(known.latest_raw), cache(known.latest_counted)
        self._added: dict[str, datetime] = {}

    def add(self, user_id: str, instant: datetime) -> None:
        """Take into account a fix that was stored since, to the millisecond as it is stored."""
        stored = times.cut_to_milliseconds(instant)
        self._added[user_id] = max(stored, self._added.get(user_id, NEVER))

    def has_later(self, user_id: str, instant: datetime) -> bool:
        """Return whether the user has a fix later than `instant`, raw or counted by a minute."""
        return (
            self._added.get(user_id, NEVER) > instant
            or self._raw(user_id) > instant
            or self._counted(user_id) > instant
        )

"""Store fixes: the first copy of each wins, and a repeat gets the first copy's receipt."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby, islice
from typing import Literal, NamedTuple

import pymongo
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from locapi import times
from locapi.concurrency import greenlets
from locapi.concurrency.coalescing import CachedRead
from locapi.errors import DatabaseUnavailable, InvalidFix
from locapi.fixes.timezones import Instant
from locapi.fixes.validation import EARLIEST, Fix
from locapi.ingest.candidate import (
    Candidate,
    Identity,
    document_of,
    out_of_range,
    read_time,
)
from locapi.ingest.group_commit import GroupCommit
from locapi.ingest.known_fixes import Copies, Copy, KnownFixes, LatestInstants
from locapi.monitoring.metrics import Metrics
from locapi.rollup import watermarks
from locapi.rollup.watermarks import MAX_AHEAD
from locapi.storage import driver_errors, migrate
from locapi.storage.documents import FIXES, Document

DEADLINE_S = 8
# Fixes at ambiguous times whose first copies are looked up together; they are stored one by one.
MAX_AMBIGUOUS = 50

Status = Literal["stored", "duplicate"]


class Receipt(NamedTuple):
    """What became of a fix, and the instant and zone of the copy that is stored."""

    status: Status
    fix_time: datetime
    tz: str


class _New(NamedTuple):
    """A fix to insert: no first copy of it is known."""

    fix: Fix
    instant: Instant


class FixStore:
    """The raw fixes, each stored once; threads may share it."""

    def __init__(
        self,
        database: Database[Document],
        now: Callable[[], datetime] = times.utc_now,
        metrics: Metrics | None = None,
    ) -> None:
        self._now = now
        self._known = KnownFixes(database)
        self._commits = GroupCommit(database[FIXES], metrics)
        # At the first fix, not before: the database may start minutes after the API.
        self._prepare = CachedRead(
            greenlets.run_in_thread(lambda: migrate.prepare(database, patient=False))
        )
        self._horizon = CachedRead(
            greenlets.run_in_thread(lambda: watermarks.read(database, watermarks.PRUNED)),
            watermarks.HORIZON_TRUST_S,
        )

    def put(self, fix: Fix) -> Receipt:
        """Store a fix unless its first copy is stored, and return once that is on disk.

        Raises InvalidFix for a time out of range; DatabaseUnavailable or Overloaded when the
        fix may not be on disk. Then it may be put again.
        """
        (outcome,) = self._put_together([_read_time(fix)])
        if isinstance(outcome, InvalidFix):
            raise outcome
        return outcome

    def put_many(self, fixes: Iterable[Fix]) -> list[Receipt | InvalidFix]:
        """Store fixes as if each were put after the one before; return what became of each.

        Raises what `put` raises when some may not be on disk. Then all may be put again.
        """
        outcomes: list[Receipt | InvalidFix] = []
        for group in _groups(map(_read_time, fixes)):
            outcomes += self._put_together(group)
        return outcomes

    def _put_together(self, group: Sequence[Candidate | InvalidFix]) -> list[Receipt | InvalidFix]:
        """Store fixes that do not depend on each other: see `_groups`."""
        with driver_errors.translated(), pymongo.timeout(DEADLINE_S):
            return self._put_group(group)

    def _put_group(self, group: Sequence[Candidate | InvalidFix]) -> list[Receipt | InvalidFix]:
        self._prepare()
        candidates = [each for each in group if isinstance(each, Candidate)]
        copies = self._known.copies_of(candidates, self._horizon())
        if _is_ambiguous(group[0]):
            return self._put_in_order(candidates, copies)
        return self._judge_and_insert(group, copies)

    def _put_in_order(
        self, candidates: Iterable[Candidate], copies: Copies
    ) -> list[Receipt | InvalidFix]:
        """Store fixes one by one, because each decides how the next one's time is read."""
        outcomes: list[Receipt | InvalidFix] = []
        latest = LatestInstants(self._known)
        for each in candidates:
            outcomes += self._judge_and_insert([each], copies, latest)
            if isinstance(receipt := outcomes[-1], Receipt):
                copies[each.identity] = Copy(receipt.fix_time, receipt.tz)
                latest.add(each.fix.user_id, receipt.fix_time)
        return outcomes

    def _judge_and_insert(
        self,
        group: Sequence[Candidate | InvalidFix],
        copies: Copies,
        latest: LatestInstants | None = None,
    ) -> list[Receipt | InvalidFix]:
        judged = [self._judge(each, copies, latest) for each in group]
        receipts = iter(self._insert([each for each in judged if isinstance(each, _New)]))
        return [next(receipts) if isinstance(each, _New) else each for each in judged]

    def _judge(
        self, candidate: Candidate | InvalidFix, copies: Copies, latest: LatestInstants | None
    ) -> _New | Receipt | InvalidFix:
        """Return the fix to insert, or its outcome if there is nothing to insert."""
        if isinstance(candidate, InvalidFix):
            return candidate
        if copies and (copy := copies.get(candidate.identity)):
            return Receipt("duplicate", *copy)
        instant = _instant(candidate, latest)
        if not EARLIEST <= instant.fix_time <= self._now() + MAX_AHEAD:
            return out_of_range(instant.fix_time.year, candidate.fix)
        return _New(candidate.fix, instant)

    def _insert(self, new: list[_New]) -> list[Receipt]:
        """Insert fixes, by an id without the UTC offset first, to find a copy sent as a local time.

        If another instant has that id, an instant is inserted by the id with its offset.
        """
        receipts = self._insert_by_id([document_of(*each) for each in new])
        taken = [
            place
            for place, (fix, instant) in enumerate(new)
            if fix.fix_time is not None and receipts[place].fix_time != instant.fix_time
        ]
        again = self._insert_by_id([document_of(*new[place], offset_in_id=True) for place in taken])
        for place, receipt in zip(taken, again, strict=True):
            receipts[place] = receipt
        return receipts

    def _insert_by_id(self, documents: list[Document]) -> list[Receipt]:
        if not documents:
            return []
        outcomes = self._commits.insert(documents)
        for outcome in outcomes:
            if outcome is not None and not isinstance(outcome, DuplicateKeyError):
                raise outcome
        pairs = list(zip(documents, outcomes, strict=True))
        taken = {document["_id"] for document, error in pairs if error}
        copies = self._known.raw_copies(taken) if taken else {}
        if len(copies) < len(taken):  # not on the disks of a majority yet, or just deleted
            raise DatabaseUnavailable("the first copy of a fix may not be on disk")
        return [
            Receipt("duplicate", *copies[document["_id"]])
            if error
            else Receipt("stored", document["fix_time"], document["tz"])
            for document, error in pairs
        ]


def _instant(candidate: Candidate, latest: LatestInstants | None) -> Instant:
    first, *second = candidate.readings
    if second and latest and latest.has_later(candidate.fix.user_id, first.fix_time):
        return second[0]
    return first


def _is_ambiguous(candidate: Candidate | InvalidFix) -> bool:
    return isinstance(candidate, Candidate) and candidate.is_ambiguous


def _read_time(fix: Fix) -> Candidate | InvalidFix:
    try:
        return read_time(fix)
    except InvalidFix as fault:
        return fault


def _groups(
    candidates: Iterable[Candidate | InvalidFix],
) -> Iterator[list[Candidate | InvalidFix]]:
    """Yield the fixes in groups whose first copies can be looked up together.

    Fixes at ambiguous times form groups of their own.
    """
    for is_ambiguous, run in groupby(candidates, _is_ambiguous):
        if is_ambiguous:
            while group := list(islice(run, MAX_AMBIGUOUS)):
                yield group
        else:
            yield from _independent(run)


def _independent(
    candidates: Iterable[Candidate | InvalidFix],
) -> Iterator[list[Candidate | InvalidFix]]:
    """Yield fixes at times that are not ambiguous in groups that can be stored in one go.

    An instant starts a new group if the group has it with another local time, perhaps as its
    first copy.
    """
    group: list[Candidate | InvalidFix] = []
    walls: dict[Identity, set[datetime]] = defaultdict(set)  # local times by user and instant
    for each in candidates:
        if isinstance(each, Candidate):
            instant = each.fix.user_id, each.readings[0].fix_time
            if each.is_instant and walls[instant] - {each.fix.wall}:
                yield group
                group, walls = [], defaultdict(set)
            walls[instant].add(each.fix.wall)
        group.append(each)
    if group:
        yield group

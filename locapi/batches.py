"""Many fixes put as if one after the other, in few commands."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import pymongo
from pymongo.errors import DuplicateKeyError

from locapi import keys, mongo, watermarks
from locapi.commits import insert_each
from locapi.errors import InvalidFix
from locapi.fixes import DEADLINE_S, FixStore, Status, document_of, readings_of
from locapi.mongo import Document
from locapi.schema import Fix
from locapi.utc import Instant

Verdict = Status | InvalidFix


class _Read(NamedTuple):
    """A fix, and what its time can mean; nothing, where there is a fault in it."""

    fix: Fix
    readings: list[Instant]
    fault: InvalidFix | None = None

    @property
    def id(self) -> str:
        return keys.fix_id(self.fix.user_id, self.fix.wall)


class BatchStore(FixStore):
    """The raw fixes, for who has many at hand; used by one thread at a time."""

    def put_many(self, fixes: Iterable[Fix]) -> list[Verdict]:
        """Put fixes as if one after the other; return what became of each.

        Raises as `put` does where not all are known to be on disk; then all may be put again.
        """
        verdicts: list[Verdict] = []
        # What an ambiguous time means depends on all that came before, so it goes alone.
        for ambiguous, group in groupby(map(_read, fixes), lambda read: len(read.readings) > 1):
            if ambiguous:
                verdicts += [self._put_alone(read.fix) for read in group]
            else:
                verdicts += self._put_together(list(group))
        return verdicts

    def _put_alone(self, fix: Fix) -> Verdict:
        try:
            return self.put(fix).status
        except InvalidFix as fault:
            return fault

    def _put_together(self, group: Sequence[_Read]) -> list[Verdict]:
        with mongo.translated_errors(), pymongo.timeout(DEADLINE_S):
            self._prepare()
            known = self._known(group)
            judged = [
                None if place in known else self._judge(read) for place, read in enumerate(group)
            ]
            new = self._insert([each for each in judged if isinstance(each, dict)])
        return [_verdict(each, new) for each in judged]

    def _judge(self, read: _Read) -> Document | InvalidFix:
        try:
            return read.fault or document_of(read.fix, self._conclude(read.fix, read.readings))
        except InvalidFix as fault:
            return fault

    def _known(self, group: Sequence[_Read]) -> set[int]:
        """Return the places of those whose raw fix can have been pruned, and that are known."""
        horizon = self._horizon()
        old = {
            place: read
            for place, read in enumerate(group)
            if any(watermarks.may_be_pruned(each.fix_time, horizon) for each in read.readings)
        }
        if not old:
            return set()
        # The raw fixes before the minutes: a prune deletes one only after its minute remembers it.
        raw = self._raw([read.id for read in old.values()])
        seen = self._seen({_minute_id(read) for read in old.values() if read.id not in raw})
        return {
            place
            for place, read in old.items()
            if read.id in raw or _mark(read) in seen.get(_minute_id(read), ())
        }

    def _raw(self, ids: list[str]) -> set[str]:
        found = self._fixes.find({"_id": {"$in": ids}}, {"_id": 1}, batch_size=len(ids))
        return {document["_id"] for document in found}

    def _seen(self, minute_ids: set[str]) -> dict[str, set[int]]:
        found = self._minutes.find({"_id": {"$in": list(minute_ids)}}, {"seen": 1})
        return {minute["_id"]: set(minute["seen"]) for minute in found}

    def _insert(self, documents: list[Document]) -> set[str]:
        """Insert the first of each key, and return the keys that were new."""
        first: dict[str, Document] = {}
        for document in documents:
            first.setdefault(document["_id"], document)
        errors = insert_each(self._fixes, list(first.values())) if first else ()
        for error in errors:
            if error is not None and not isinstance(error, DuplicateKeyError):
                raise error
        return {key for key, error in zip(first, errors, strict=True) if error is None}


def _read(fix: Fix) -> _Read:
    try:
        return _Read(fix, readings_of(fix))
    except InvalidFix as fault:
        return _Read(fix, [], fault)


def _minute_id(read: _Read) -> str:
    return keys.minute_id(read.fix.user_id, read.readings[0].fix_time)


def _mark(read: _Read) -> int:
    return keys.mark(read.readings[0].fix_time, read.readings[0].utc_offset)


def _verdict(judged: Document | InvalidFix | None, new: set[str]) -> Verdict:
    """Return the verdict of the next in order; a new key is the first's who bears it."""
    if isinstance(judged, InvalidFix):
        return judged
    if judged is None or judged["_id"] not in new:
        return "duplicate"
    new.remove(judged["_id"])
    return "stored"

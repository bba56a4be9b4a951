"""Compare what is stored with what was answered, and the minutes with the reference."""

import subprocess
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from locapi.storage.documents import Document
from tests.faults.load import Entry
from tests.support.crashing import fix_id
from tests.support.processes import DEADLINE_S, LOCCTL
from tests.support.reference import Counted, Reference, differences


def judge(uri: str, entries: list[Entry]) -> list[str]:
    """Return a sentence for each fix that was lost, counted twice or answered wrongly.

    Call it after every client has its last answer; roll-ups may still run.
    """
    reference = Reference()
    problems = [fault for entry in entries for fault in misanswered(entry, reference)]
    rolled_up = _locctl(uri, "rollup")
    verified = _locctl(uri, "verify")
    problems += [f"{run.args[1]}: {run.stderr}" for run in (rolled_up, verified) if run.returncode]
    problems += verified.stdout.splitlines()
    with MongoClient[Document](uri, tz_aware=True) as client:
        database = client.locapi
        problems += _misstored(database, {fix_id(key): fix for key, fix in reference.raw.items()})
        problems += differences(database.minutes.find(), reference.minutes())
    return problems


def lost(uri: str, entries: Iterable[Entry]) -> set[str]:
    """Return the keys of fixes that were answered 200 and are not stored."""
    answered = {fix_id(entry.ask.sent.key) for entry in entries if entry.answered}
    with MongoClient[Document](uri) as client:
        return answered - set(client.locapi.fixes.distinct("_id"))


def misanswered(entry: Entry, reference: Reference) -> Iterator[str]:
    """Put the fix into the reference, and yield how its answers differ from the reference's."""
    sent, name = entry.ask.sent, fix_id(entry.ask.sent.key)
    wanted = reference.put(sent)
    fix_time = reference.raw[sent.key].instant
    *before, last = entry.attempts
    if last.code != 200:
        yield f"{name} was never answered 200, but at last {last.code} {last.body}"
        return
    if last.body["status"] != wanted and not (wanted == "stored" and before):
        yield f"{name} is answered {last.body['status']} instead of {wanted}"
    if datetime.fromisoformat(last.body["fix_time"]) != fix_time:
        yield f"{name} is answered {last.body['fix_time']} instead of {fix_time}"


def _misstored(database: Database[Document], wanted: dict[str, Counted]) -> Iterator[str]:
    stored: set[str] = set()
    for raw in database.fixes.find():
        name = raw["_id"]
        if name in stored or name not in wanted:
            yield f"{name} is stored {'twice' if name in stored else 'and was never sent'}"
            continue
        stored.add(name)
        counted = wanted[name]
        if _content(raw) != (counted.instant, *_position(counted.sent)):
            yield f"{name} is stored as {raw} instead of {counted}"
    yield from (f"{name} is lost" for name in wanted.keys() - stored)


def _content(raw: Document) -> tuple[Any, ...]:
    return raw["fix_time"], raw["lat"], raw["long"], raw["accuracy"], raw["speed"]


def _position(sent: Any) -> tuple[float, ...]:
    return sent.lat, sent.long, sent.accuracy, sent.speed


def _locctl(uri: str, command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [LOCCTL, command],
        env={"MONGODB_URI": uri},
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE_S,
    )

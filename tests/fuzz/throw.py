"""Throw, and hold every answer against the contract; the first that breaks it is shown whole."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from urllib.parse import urlsplit

import bson
import jsonschema_rs
import orjson

from locapi import fixes, schema
from locapi.errors import InvalidFix
from locapi.server import Server
from locapi.watermarks import MAX_AHEAD
from tests.fuzz import expected
from tests.fuzz.bodies import Bodies
from tests.fuzz.requests import Requests
from tests.test_end_to_end import ask as ask_by_http
from tests.test_server import ask

SLOWEST_S = 1
LONGEST_ANSWER = 4_096
AT_ONCE = 64
SILENCE_S = 0.3  # a request that is not whole gets no answer
_CODES = {100, 200, 400, 404, 405, 503}  # 503: only GET /health, and only without a database

_bodies_of = {
    code: jsonschema_rs.Draft202012Validator(expected.DOCUMENT["components"]["schemas"][name])
    for code, name in ((200, "Receipt"), (400, "InvalidFix"))
}


@dataclass
class Report:
    """What came of the throwing."""

    verdicts: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        """Return the counts, the rate and the slowest, in one line."""
        total = self.verdicts.total()
        counts = ", ".join(f"{name} {count:,}" for name, count in self.verdicts.most_common())
        rate = total / self.seconds
        slowest = f"; slowest {self.slowest_s * 1000:.1f} ms" if self.slowest_s else ""
        return f"{total:,} in {self.seconds:.0f} s ({rate:,.0f} a second): {counts}{slowest}"


def conclude(body: bytes) -> str:
    """Take a body the way a request does, up to what would be stored; return the verdict."""
    try:
        fix = schema.parse(body)
    except InvalidFix as error:
        answer = json.dumps({"message": str(error), "fields": error.fields})
        assert len(answer) <= LONGEST_ANSWER, len(answer)
        orjson.loads(answer)
        return "rules broken" if error.fields else "no JSON object"
    assert expected.is_fix(body)
    try:
        readings = fixes.readings_of(fix)
    except InvalidFix:
        return "time out of range"
    for reading in readings:
        if fixes.EARLIEST <= reading.fix_time <= datetime.now(UTC) + MAX_AHEAD:
            bson.encode(fixes.document_of(fix, reading))
        else:
            return "time out of range"
    return "fix"


def judge(body: bytes) -> str:
    """Return the verdict on a body, which must be the document's."""
    verdict = conclude(body)
    valid = verdict in ("fix", "time out of range")
    assert valid == expected.is_fix(body), f"{verdict}, but the document says otherwise"
    return verdict


def at_parser(seed: int, count: int) -> Report:
    """Throw bodies at all that a request passes before the database."""
    bodies, report, start = Bodies(Random(seed)), Report(), time.perf_counter()
    for number in range(count):
        body = bodies.body()
        began = time.thread_time()  # other processes' load is no hang
        try:
            report.verdicts[judge(body)] += 1
            took = time.thread_time() - began
            assert took < SLOWEST_S, f"took {took:.1f} s"
        except Exception as error:
            raise AssertionError(f"seed {seed}, body {number}: {body!r}") from error
        report.slowest_s = max(report.slowest_s, took)
    report.seconds = time.perf_counter() - start
    return report


async def at_application(serve: Server, seed: int, count: int) -> Report:
    """Throw bodies at the whole application and its database; codes and answers must conform."""
    bodies, report, start = Bodies(Random(seed)), Report(), time.perf_counter()

    async def one(body: bytes) -> None:
        answered = await ask(serve, body)
        assert answered is not None
        status, headers, content = answered
        assert status == (200 if conclude(body) == "fix" else 400), (status, body)
        assert headers[b"Content-Type"] == b"application/json"
        assert _bodies_of[status].is_valid(orjson.loads(content)), (content, body)
        report.verdicts[str(status)] += 1

    for done in range(0, count, AT_ONCE):
        some = [bodies.body() for _ in range(min(AT_ONCE, count - done))]
        began = time.thread_time()
        await asyncio.gather(*map(one, some))
        report.slowest_s = max(report.slowest_s, (time.thread_time() - began) / len(some))
    report.seconds = time.perf_counter() - start
    return report


async def at_socket(url: str, seed: int, count: int) -> Report:
    """Throw requests at a real server; it answers or closes, and lives."""
    requests, report, start = Requests(Random(seed)), Report(), time.perf_counter()
    address = urlsplit(url)

    async def one(request: bytes) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        answer = b""
        try:
            writer.write(request)
            async with asyncio.timeout(30):
                while got := await _some(reader):
                    answer += got
        except ConnectionError:
            report.verdicts["reset"] += 1
        finally:
            writer.close()
        if answer:
            assert answer.startswith(b"HTTP/1.1 "), (request, answer)
            code = int(answer[9:12])
            assert code in _CODES, (request, answer)
            report.verdicts[str(code)] += 1
        else:
            report.verdicts["no answer"] += 1

    for done in range(0, count, AT_ONCE):
        await asyncio.gather(*(one(requests.request()) for _ in range(min(AT_ONCE, count - done))))
        asked = await asyncio.to_thread(ask_by_http, url, "GET", "/health")
        assert asked == (200, {"status": "ok"})
    report.seconds = time.perf_counter() - start
    return report


async def _some(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(65_536), SILENCE_S)
    except TimeoutError:
        return b""

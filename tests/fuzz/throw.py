"""Send generated input and check each response; a failure shows the input."""

import asyncio
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from urllib.parse import urlsplit

import bson
import orjson
from flask import Flask

from locapi.errors import InvalidFix
from locapi.fixes import validation
from locapi.fixes.validation import EARLIEST
from locapi.ingest import candidate
from locapi.rollup.watermarks import MAX_AHEAD
from tests.fuzz.bodies import Bodies
from tests.fuzz.requests import Requests
from tests.support import openapi
from tests.support.openapi import SCHEMAS, validator
from tests.support.processes import ask

MAX_BODY_S = 1
MAX_ERROR_BYTES = 4_096
AT_ONCE = 64
SILENCE_S = 1.0  # an incomplete request gets no response
_CODES = {100, 200, 400, 404, 405, 431, 503}  # 503: /readyz, only without a database

_body_of = {200: validator(SCHEMAS["Receipt"]), 400: validator(SCHEMAS["InvalidFix"])}


@dataclass
class Report:
    """How many responses there were of each kind."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    def __str__(self) -> str:
        """Return the counts, the rate and the slowest, in one line."""
        total, seconds = self.counts.total(), time.perf_counter() - self.began
        counts = ", ".join(f"{name} {count:,}" for name, count in self.counts.most_common())
        slowest = f"; slowest {self.slowest_s * 1000:.1f} ms" if self.slowest_s else ""
        return f"{total:,} in {seconds:.0f} s ({total / seconds:,.0f} a second): {counts}{slowest}"


def verdict(body: bytes) -> str:
    """Return what a request makes of a body before anything is stored."""
    try:
        fix = validation.parse(body)
    except InvalidFix as error:
        shown = json.dumps({"message": str(error), "fields": error.fields})
        assert len(shown) <= MAX_ERROR_BYTES, len(shown)
        orjson.loads(shown)
        return "invalid field" if error.fields else "not a JSON object"
    try:
        readings = candidate.read_time(fix).readings
    except InvalidFix:
        return "time out of range"
    for reading in readings:
        if not EARLIEST <= reading.fix_time <= datetime.now(UTC) + MAX_AHEAD:
            return "time out of range"
        bson.encode(candidate.document_of(fix, reading))
    return "fix"


def at_parser(seed: int, count: int) -> Report:
    """Send bodies through all that precedes the database; the document must agree on each."""
    bodies, report = Bodies(Random(seed)), Report()
    for number in range(count):
        body = bodies.body()
        began = time.thread_time()  # the load of other processes does not count
        try:
            found = verdict(body)
            taken_s = time.thread_time() - began
            assert (found in ("fix", "time out of range")) == openapi.is_fix(body), found
            assert taken_s < MAX_BODY_S, f"took {taken_s:.1f} s"
        except Exception as error:
            raise AssertionError(f"seed {seed}, body {number}: {body!r}") from error
        report.counts[found] += 1
        report.slowest_s = max(report.slowest_s, taken_s)
    return report


def at_application(app: Flask, seed: int, count: int) -> Report:
    """Send bodies to the application and its database; each response must conform."""
    bodies, report = Bodies(Random(seed)), Report()

    def send(body: bytes) -> int:
        response = app.test_client().put("/location", data=body)
        assert response.status_code == (200 if verdict(body) == "fix" else 400), body
        assert response.content_type == "application/json"
        content = orjson.loads(response.data)
        assert _body_of[response.status_code].is_valid(content), (content, body)
        return response.status_code

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for status in threads.map(send, [bodies.body() for _ in range(count)]):
            report.counts[str(status)] += 1
    return report


async def at_socket(url: str, seed: int, count: int) -> Report:
    """Send requests to a real server, which must respond or close, and stay healthy."""
    requests, report = Requests(Random(seed)), Report()
    address = urlsplit(url)

    async def send(request: bytes) -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        response = b""
        try:
            writer.write(request)
            async with asyncio.timeout(30):
                while received := await _some(reader):
                    response += received
        except ConnectionError:
            report.counts["reset"] += 1
        finally:
            writer.close()
        if response:
            assert response.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), (request, response)
            assert int(response[9:12]) in _CODES, (request, response)
        report.counts[response[9:12].decode() or "no response"] += 1

    for done in range(0, count, AT_ONCE):
        await asyncio.gather(*(send(requests.request()) for _ in range(min(AT_ONCE, count - done))))
        assert await asyncio.to_thread(ask, url, "GET", "/health") == (200, {"status": "ok"})
    return report


async def _some(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(65_536), SILENCE_S)
    except TimeoutError:
        return b""

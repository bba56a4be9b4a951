"""Send rows over HTTP: users in parallel, each user's rows in order.

A user's next row is sent only after the response to the previous one, because the API
keeps the first of two fixes with one timestamp.
"""

import json
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from itertools import islice
from queue import Queue, SimpleQueue
from threading import Event, Thread
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Retry, Timeout, connection_from_url
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.util import parse_url

from simulation.tracks import Row

MAX_QUEUED = 2_000  # rows for each connection, so that one long track does not hold up others
RETRY = Retry(
    total=8,
    backoff_factor=0.2,
    backoff_max=5,
    retry_after_max=30,
    status_forcelist=(500, 502, 503, 504),
    raise_on_status=False,
)
STARTUP_RETRY = Retry(total=5, backoff_factor=0.2)  # six seconds for a server to start
TIMEOUT = Timeout(connect=5, read=30)


class BadAddress(Exception):
    """The API's address cannot be used; the message says what to do."""


class Answer(NamedTuple):
    """What became of a row: its final code (0: no response), and the status or the reasons."""

    place: str
    code: int
    details: tuple[str, ...]
    retries: int
    seconds: float


_CODES = {"stored": 200, "duplicate": 200, "invalid": 400, "forbidden": 403}

Send: TypeAlias = Callable[[list[Row]], Iterable[Answer]]
Lane: TypeAlias = "Queue[Row | None]"
Answers: TypeAlias = "SimpleQueue[Answer | BaseException | None]"


class Api:
    """A client of the API that keeps its connections; threads may share it."""

    def __init__(self, address: str, connections: int) -> None:
        try:
            url = parse_url(address)
            if url.scheme not in ("http", "https") or not url.host:
                raise LocationValueError
        except LocationValueError as error:
            raise BadAddress(
                f"API_HOST is {address!r}; write it like API_HOST=http://localhost:5000."
            ) from error
        self._path = (url.path or "").rstrip("/")
        self._pool: HTTPConnectionPool = connection_from_url(
            address, maxsize=connections, timeout=TIMEOUT
        )

    def is_there(self) -> bool:
        """Return whether the API responds within some seconds."""
        try:
            health = f"{self._path}/health"
            self._pool.urlopen("GET", health, retries=STARTUP_RETRY, timeout=5, redirect=False)
        except HTTPError:
            return False
        return True

    def put(self, row: Row) -> Answer:
        """Send one row, with retries; return the last response and the time of all tries."""
        started = perf_counter()
        try:
            response = self._pool.urlopen(
                "PUT",
                f"{self._path}/location",
                body=row.body,
                headers={"Content-Type": "application/json"},
                retries=RETRY,
                redirect=False,
            )
        except HTTPError:
            return Answer(row.place, 0, ("no answer",), 0, perf_counter() - started)
        details = _details(response.status, response.data)
        retries = len(response.retries.history) if response.retries else 0
        return Answer(row.place, response.status, details, retries, perf_counter() - started)

    def post(self, rows: Sequence[Row]) -> list[Answer]:
        """Send rows in one request; of those that cannot be read together, each by itself."""
        started = perf_counter()
        try:
            response = self._pool.urlopen(
                "POST",
                f"{self._path}/locations",
                body=b"\n".join(row.body for row in rows),
                retries=RETRY.new(allowed_methods=None),
                redirect=False,
            )
        except HTTPError:
            return [Answer(row.place, 0, ("no answer",), 0, 0.0) for row in rows]
        if response.status != 200 and len(rows) > 1 and response.status < 500:
            return [answer for row in rows for answer in self.post([row])]
        retries = len(response.retries.history) if response.retries else 0
        seconds = perf_counter() - started
        return [
            Answer(row.place, code, details, retries, seconds)
            for row, (code, details) in zip(rows, _results(response, len(rows)), strict=True)
        ]


def _results(response: BaseHTTPResponse, count: int) -> list[tuple[int, tuple[str, ...]]]:
    """Return the code and the details of each of the rows that one response is about."""
    if response.status != 200:
        return [(response.status, _details(response.status, response.data))] * count
    results = json.loads(response.data)["results"]
    return [(_CODES[each["status"]], _details_of(each)) for each in results]


def _details_of(result: dict[str, Any]) -> tuple[str, ...]:
    if result["status"] in ("stored", "duplicate"):
        return (str(result["status"]),)
    return _reasons(result)


def _details(code: int, body: bytes) -> tuple[str, ...]:
    """Return the status in a 200, or the reasons in any other response."""
    try:
        answer = json.loads(body)
        if code == 200:
            return (str(answer["status"]),)
        return _reasons(answer["error"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return ("(unreadable answer)",)


def _reasons(error: dict[str, Any]) -> tuple[str, ...]:
    fields = error.get("fields", {}).items()
    faults = tuple(f"{field}: {fault}" for field, faults in fields for fault in faults)
    message = str(error.get("message", error.get("status")))
    # The value that was sent is in brackets. Without it, equal reasons are counted together.
    return tuple(fault.partition(" (")[0] for fault in faults or (message,))


def replay(
    rows: Iterable[Row], send: Send, connections: int, batch: int = 1
) -> Generator[Answer, None, None]:
    """Send the rows, over up to `connections` at a time, and yield the answers as they come.

    `send` gets up to `batch` rows at once.

    Each user belongs to one thread, so no row of a user overtakes another. Close the
    iterator to stop.
    """
    lanes: list[Lane] = [Queue(MAX_QUEUED) for _ in range(connections)]
    answers: Answers = SimpleQueue()
    stop = Event()
    tasks = [partial(_deal, rows, lanes, stop)]
    tasks += [partial(_work, lane, send, batch, answers, stop) for lane in lanes]
    for task in tasks:
        Thread(target=_guard, args=(task, answers), daemon=True).start()
    try:
        for _ in tasks:
            while (answer := answers.get()) is not None:
                if isinstance(answer, BaseException):
                    raise answer
                yield answer
    finally:
        stop.set()


def _guard(task: Callable[[], None], answers: Answers) -> None:
    try:
        task()
    except BaseException as error:
        answers.put(error)
    finally:
        answers.put(None)


def _deal(rows: Iterable[Row], lanes: list[Lane], stop: Event) -> None:
    lane_of: dict[str, Lane] = {}
    try:
        for row in rows:
            if stop.is_set():
                break
            lane_of.setdefault(row.user, lanes[len(lane_of) % len(lanes)]).put(row)
    finally:
        for lane in lanes:
            lane.put(None)


def _work(lane: Lane, send: Send, batch: int, answers: Answers, stop: Event) -> None:
    rows = iter(lane.get, None)
    while some := list(islice(rows, batch)):
        if not stop.is_set():  # else empty the lane, so that the dealer can end
            for answer in send(some):
                answers.put(answer)

"""Send rows over HTTP: users in parallel, each user's rows in order.

A user's next row is sent only after the answer to the one before, because of two fixes
with one timestamp the API keeps the first.
"""

import json
from collections.abc import Callable, Generator, Iterable
from functools import partial
from queue import Queue, SimpleQueue
from threading import Event, Thread
from time import perf_counter
from typing import NamedTuple, TypeAlias

from urllib3 import HTTPConnectionPool, Retry, Timeout, connection_from_url
from urllib3.exceptions import HTTPError, LocationValueError
from urllib3.util import parse_url

from simulation.tracks import Row

AHEAD = 2_000  # rows read ahead for each connection, so that one long track does not hold up others
RETRY = Retry(
    total=8,
    backoff_factor=0.2,
    backoff_max=5,
    retry_after_max=30,
    status_forcelist=(500, 502, 503, 504),
    raise_on_status=False,
)
KNOCK = Retry(total=5, backoff_factor=0.2)  # some six seconds for a server to come up
TIMEOUT = Timeout(connect=5, read=30)


class BadAddress(Exception):
    """The API's address cannot be used; the text says what to do."""


class Answer(NamedTuple):
    """What became of a row: its final code (0: no answer came), and the verdict or reasons."""

    place: str
    code: int
    details: tuple[str, ...]
    retries: int
    seconds: float


Lane: TypeAlias = "Queue[Row | None]"
Answers: TypeAlias = "SimpleQueue[Answer | BaseException | None]"


class Api:
    """The API under one address, on connections that are kept alive; threads may share it."""

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
        """Say whether anything answers, after some seconds of asking."""
        try:
            health = f"{self._path}/health"
            self._pool.urlopen("GET", health, retries=KNOCK, timeout=5, redirect=False)
        except HTTPError:
            return False
        return True

    def put(self, row: Row) -> Answer:
        """Send one row until it is answered for good or patience ends; time includes retries."""
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


def _details(code: int, body: bytes) -> tuple[str, ...]:
    """Take the verdict of a 200, or the reasons of any other answer."""
    try:
        answer = json.loads(body)
        if code == 200:
            return (str(answer["status"]),)
        error = answer["error"]
        fields = error.get("fields", {}).items()
        faults = tuple(f"{field}: {fault}" for field, faults in fields for fault in faults)
        # In brackets stands what was sent, by which reasons that are alike would differ.
        return tuple(fault.partition(" (")[0] for fault in faults or (str(error["message"]),))
    except (ValueError, LookupError, TypeError, AttributeError):
        return ("(unreadable answer)",)


def replay(
    rows: Iterable[Row], put: Callable[[Row], Answer], connections: int
) -> Generator[Answer, None, None]:
    """Put the rows, up to `connections` at a time, and yield the answers as they come.

    Each user belongs to one thread, so no row of theirs overtakes another. Closing the
    iterator stops the sending.
    """
    lanes: list[Lane] = [Queue(AHEAD) for _ in range(connections)]
    answers: Answers = SimpleQueue()
    stop = Event()
    tasks = [partial(_deal, rows, lanes, stop)]
    tasks += [partial(_work, lane, put, answers, stop) for lane in lanes]
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


def _work(lane: Lane, put: Callable[[Row], Answer], answers: Answers, stop: Event) -> None:
    for row in iter(lane.get, None):
        if not stop.is_set():  # else only empty the lane, so that the dealer is not held up
            answers.put(put(row))

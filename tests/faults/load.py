"""Clients that behave as phones: send fixes in order until 200, and record all answers."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.faults.tracks import Ask, Track, ahead, autumns
from tests.support.reference import Sent

PATIENCE_S = 30  # for one answer
BACK_OFF_S = 0.05
BROKEN, SILENT = 0, -1  # in place of a code: the connection ended; no answer in PATIENCE_S


@dataclass(frozen=True)
class Attempt:
    """One request: when it was sent and ended by the monotonic clock, the code, the answer."""

    began: float
    ended: float
    code: int
    body: Any = None


@dataclass
class Entry:
    """A fix of a user, and all attempts to send it."""

    ask: Ask
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        return bool(self.attempts) and self.attempts[-1].code == 200


class Client(threading.Thread):
    """One user's phone."""

    def __init__(self, port: int, track: Track, every_s: float) -> None:
        super().__init__(daemon=True)
        self.entries: list[Entry] = []
        self.last_200_began = 0.0
        self._track, self._every_s = track, every_s
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self._headers: dict[str, str] = {}
        self._stopped = threading.Event()
        self._abandoned = False

    def run(self) -> None:
        due = time.monotonic()
        for ask in self._track:
            entry = Entry(ask)
            self.entries.append(entry)
            self._send_until_stored(entry)
            due = max(due + self._every_s, time.monotonic())
            if self._stopped.wait(due - time.monotonic()):
                break
        self._connection.close()

    def stop(self) -> None:
        """Stop after the answer to the fix in progress."""
        self._stopped.set()

    def abandon(self) -> None:
        """Stop without an answer."""
        self._abandoned = True
        self.stop()

    def _send_until_stored(self, entry: Entry) -> None:
        body = as_json(entry.ask.sent)
        while not self._abandoned:
            attempt = self._send(body)
            entry.attempts.append(attempt)
            if attempt.code == 200:
                self.last_200_began = attempt.began
            if attempt.code not in (500, BROKEN):
                return
            time.sleep(BACK_OFF_S)

    def _send(self, body: bytes) -> Attempt:
        began, code, answer = time.monotonic(), BROKEN, None
        try:
            self._connection.request("PUT", "/location", body, self._headers)
            with self._connection.getresponse() as response:
                answer, code = json.load(response), response.status
        except TimeoutError:
            code = SILENT
        except (OSError, http.client.HTTPException):
            pass
        if code in (BROKEN, SILENT):
            self._connection.close()
        return Attempt(began, time.monotonic(), code, answer)


class Load:
    """All clients at once, each at a steady rate."""

    def __init__(self, port: int, seed: int, users: int = 8, every_s: float = 0.08) -> None:
        self.clients = []
        for number in range(users):
            user_id, own = f"u{number}", f"{seed} {number}"
            instants = ahead(own) if number == 0 else autumns(own)
            self.clients.append(Client(port, Track(user_id, own, instants), every_s))

    def __enter__(self) -> "Load":
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is None:
            self.stop()
        for client in self.clients:
            client.abandon()

    def stop(self) -> None:
        """Return once each client has its last answer."""
        for client in self.clients:
            client.stop()
        for client in self.clients:
            client.join(4 * PATIENCE_S)
            assert not client.is_alive(), "a client was never answered"

    def all_served_since(self, since: float) -> bool:
        """Return whether each client got a 200 for a request sent after that time."""
        return all(client.last_200_began > since for client in self.clients)

    def entries(self) -> Iterator[Entry]:
        """Yield the entries of all clients, each user's in order."""
        return itertools.chain.from_iterable(client.entries.copy() for client in self.clients)

    def attempts(self, since: float = 0.0, until: float = float("inf")) -> Iterator[Attempt]:
        """Yield the attempts that were in progress at some time of a span."""
        for entry in self.entries():
            for attempt in entry.attempts.copy():
                if attempt.ended >= since and attempt.began <= until:
                    yield attempt


def as_json(sent: Sent) -> bytes:
    """Return the body of a request that sends a fix."""
    return json.dumps(
        {
            "timestamp": sent.wall.isoformat(" ", "milliseconds"),
            "lat": sent.lat,
            "long": sent.long,
            "accuracy": sent.accuracy,
            "speed": sent.speed,
            "user_id": sent.user_id,
        }
    ).encode()

"""The three-member installation of docker-compose.cluster.yml, and phones that use it."""

import http.client
import json
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from tests.conftest import ROOT, a_fix, free_port
from tests.docker.stack import ENVIRON, run

PROJECT = "locapi-cluster-test"
PORT = free_port()
MEMBERS = ("mongo1", "mongo2", "mongo3")
PHONES = 8
DEADLINE_S = 120
_HELLO = (
    "const h = db.hello(); print(h.isWritablePrimary ? 'primary' : h.secondary ? 'secondary' : '')"
)


def compose(*arguments: str) -> str:
    files = ("-f", "docker-compose.cluster.yml", "-f", "tests/cluster/often.yml")
    project = ("docker", "compose", *files, "-p", PROJECT)
    return run(*project, *arguments, API_PORT=str(PORT))


def container(service: str) -> str:
    return compose("ps", "--all", "--quiet", service).strip()


def state(member: str) -> str:
    """Return whether a member is primary or secondary; "" where it is neither or away."""
    try:
        done = subprocess.run(
            ["docker", "exec", container(member), "mongosh", "--quiet", "--norc", "--eval", _HELLO],
            cwd=ROOT,
            env=ENVIRON,
            capture_output=True,
            text=True,
            timeout=30,
        )
    except subprocess.TimeoutExpired:
        return ""
    return (done.stdout.splitlines() or [""])[-1]  # mongosh warns that it has no home before


def primary() -> str:
    """Return which member is the primary, once all three are one set."""
    states: dict[str, str] = {}

    def whole() -> bool:
        states.update((member, state(member)) for member in MEMBERS)
        return sorted(states.values()) == ["primary", "secondary", "secondary"]

    until(whole, "one set of three members")
    return next(member for member in MEMBERS if states[member] == "primary")


def locctl(*arguments: str) -> str:
    return compose("exec", "-T", "rollup1", "locctl", *arguments)


def put(**fields: Any) -> tuple[int, dict[str, Any]]:
    with closing(http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)) as connection:
        connection.request("PUT", "/location", json.dumps(a_fix(**fields)))
        answer = connection.getresponse()
        return answer.status, json.load(answer)


class Phones:
    """Phones that send their fixes in order, each until it is answered 200."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(PHONES)
        ]
        self.taken: list[tuple[str, str]] = []
        self.served_at = [0.0] * PHONES
        self.longest_s = 0.0  # from the first try of a fix to its 200
        self.codes: dict[int | str, int] = {}

    def __enter__(self) -> "Phones":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def all_served_since(self, moment: float) -> bool:
        return min(self.served_at) > moment

    def _send(self, phone: int) -> None:
        user_id = f"phone-{phone}"
        for number in range(1_000_000):
            minute, second = divmod(number, 60)
            timestamp = f"2017-01-{1 + minute // 60:02} 13:{minute % 60:02}:{second:02}"
            first_try = begun = time.monotonic()
            while self._answer(user_id, timestamp, float(second)) != 200:
                if self._stop.wait(0.2):
                    return
                begun = time.monotonic()
            self.taken.append((user_id, timestamp))
            self.served_at[phone] = begun
            self.longest_s = max(self.longest_s, time.monotonic() - first_try)
            if self._stop.wait(0.02):
                return

    def _answer(self, user_id: str, timestamp: str, lat: float) -> int | str:
        try:
            code: int | str = put(user_id=user_id, timestamp=timestamp, lat=lat)[0]
        except (OSError, http.client.HTTPException) as error:
            code = type(error).__name__
        self.codes[code] = self.codes.get(code, 0) + 1
        return code


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, (
            f"{what}: not in time\n{compose('logs', '--tail', '20')}"
        )
        time.sleep(0.1)

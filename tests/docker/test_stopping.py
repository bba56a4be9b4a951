"""`docker stop` under load: what was accepted is answered, in time, and no connection is reset."""

import json
import threading
import time
from contextlib import closing
from http.client import HTTPConnection

from tests.conftest import a_fix
from tests.docker.stack import compose, container, inspect, is_healthy, locctl, run, wait_until

SENDERS = 16
ENOUGH = 500


class Load:
    """Phones that send until the API can no longer be reached, each fix on its own connection."""

    def __init__(self, host: str) -> None:
        self.stored: list[str] = []
        self.lost: list[str] = []
        self._host = host
        self._threads = [
            threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)

    def _send(self, number: int) -> None:
        for second in range(100_000):
            user_id = f"stop-{number}-{second}"
            with closing(HTTPConnection(self._host, 5000, timeout=30)) as connection:
                try:
                    connection.connect()
                except OSError:
                    return
                try:
                    connection.request("PUT", "/location", json.dumps(a_fix(user_id=user_id)))
                    answer = connection.getresponse()
                    answer.read()
                except Exception as error:
                    self.lost.append(repr(error))
                    return
            (self.stored if answer.status == 200 else self.lost).append(user_id)


def test_what_was_accepted_is_answered_before_the_end() -> None:
    # Not through the published port: Docker's proxy accepts for an API that has gone.
    networks = inspect("api", ".NetworkSettings.Networks")
    load = Load(networks["locapi-test_edge"]["IPAddress"])
    deadline = time.monotonic() + 30
    while len(load.stored) < ENOUGH and time.monotonic() < deadline:
        time.sleep(0.01)

    start = time.monotonic()
    run("docker", "stop", container("api"))
    seconds = time.monotonic() - start
    load.join()
    code = inspect("api", ".State.ExitCode")
    compose("up", "--detach")
    wait_until(is_healthy)

    assert len(load.stored) >= ENOUGH
    assert load.lost == []
    assert code == 0
    assert seconds < 12
    locctl("rollup")
    exported = {line.split(",")[0] for line in locctl("export").splitlines()}
    assert set(load.stored) <= exported

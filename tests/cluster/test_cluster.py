"""Whatever happens to one container of docker-compose.cluster.yml, no answered fix is lost."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.load import BROKEN, Load
from tests.support.compose import Stack, sent
from tests.support.processes import ask

FILES = ("docker-compose.cluster.yml", "tests/cluster/often.yml")
MEMBERS = ("mongo1", "mongo2", "mongo3")
STATE = "const h = db.hello(); print(h.isWritablePrimary ? 'primary' : h.secondary && 'secondary')"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Stack]:
    cluster = Stack("locapi-test-cluster", tmp_path, *FILES)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


def primary(cluster: Stack) -> str:
    """Return which member is the primary, once the other two are secondaries."""
    states: dict[str, str] = {}

    def is_whole() -> bool:
        for member in MEMBERS:
            states[member] = cluster.mongosh(STATE, member).strip()
        return sorted(states.values()) == ["primary", "secondary", "secondary"]

    cluster.until(is_whole, "one set of three members")
    return next(member for member in MEMBERS if states[member] == "primary")


# How long a fault lasts is the fault: nothing is awaited in its seconds.


def kill(cluster: Stack, container: str) -> None:
    cluster.run("docker", "kill", container)
    time.sleep(8)
    cluster.run("docker", "start", container)


def pause(cluster: Stack, container: str) -> None:
    cluster.run("docker", "pause", container)
    time.sleep(20)
    cluster.run("docker", "unpause", container)


def disconnect(cluster: Stack, container: str) -> None:
    network = f"{cluster.name}_database"
    (alias,) = cluster.run(
        *("docker", "inspect", "-f", '{{index .Config.Labels "com.docker.compose.service"}}'),
        container,
    ).split()
    cluster.run("docker", "network", "disconnect", "--force", network, container)
    time.sleep(15)
    cluster.run("docker", "network", "connect", "--alias", alias, network, container)


FAULTS = [
    *((fault, service) for fault in (kill, pause) for service in ("primary", "api1", "rollup1")),
    (disconnect, "primary"),
]


def test_no_answered_fix_is_lost_whatever_happens_to_one_container(cluster: Stack) -> None:
    with Load(cluster.port, seed=1) as load:
        cluster.until(lambda: load.all_served_since(0.0), "the first answers")
        for path in ("/metrics", "/metrics?a", "/%6detrics"):
            assert ask(f"http://127.0.0.1:{cluster.port}", "GET", path)[0] == 404
        for fault, service in FAULTS:
            started = time.monotonic()
            name = primary(cluster) if service == "primary" else service
            fault(cluster, cluster.container(name))
            primary(cluster)
            ended = time.monotonic()
            cluster.until(lambda: load.all_served_since(ended), "all are served again")  # noqa: B023
            waits = [
                entry.attempts[-1].ended - entry.attempts[0].began
                for entry in load.entries()
                if entry.answered and entry.attempts[-1].ended > started
            ]
            sys.stderr.write(f"{fault.__name__} {service}: 200 after {max(waits):.1f} s at most\n")

    # A connection may be lost with the process that held it; then a phone sends again, too.
    assert {attempt.code for attempt in load.attempts()} <= {200, 500, BROKEN}
    cluster.locctl("rollup", service="rollup1")
    expected, exported = sent(load), cluster.minutes(service="rollup1")
    assert exported == {minute: pytest.approx(values) for minute, values in expected.items()}
    cluster.locctl("verify", service="rollup2")

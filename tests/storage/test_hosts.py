"""Several API hosts whose clocks differ, and several roll-ups, over one replica set."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPException
from typing import Any

import pytest
from pymongo.database import Database

from locapi.errors import DatabaseUnavailable
from locapi.ingest import tokens
from locapi.ingest.store import FixStore, Receipt
from locapi.rollup.verify import Report, verify
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import Document
from tests.conftest import a_fix, free_port
from tests.faults import referee
from tests.faults.load import BROKEN, Client
from tests.faults.tracks import Track, autumns
from tests.support.crashing import NOW, as_fix, fix
from tests.support.hosts import TRUST_S, Host, Phone
from tests.support.members import Members
from tests.support.processes import Process, until
from tests.support.reference import Reference, Sent, differences
from tests.support.watching import Watching

SKEWS_S = (-120, 40, 120)
ROLL_UPS = 2
USERS = [f"u{number}" for number in range(6)]
LEAVER = "leaver"  # whose token is revoked
LEASE_S = 6.0
START_S = 180  # on a busy machine


@pytest.fixture(scope="module")
def database(replica_set: Members) -> Iterator[Database[Document]]:
    with mongo.open_database(Settings(mongodb_uri=replica_set.uri)) as database:
        migrate.prepare(database)
        yield database


@pytest.fixture(scope="module")
def hosts(replica_set: Members, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Host]]:
    """API hosts, and roll-ups that watch and prune."""
    port, uri, tmp_path = free_port(), replica_set.uri, tmp_path_factory.mktemp("hosts")
    hosts = [
        Host(tmp_path, f"127.0.0.{2 + number}", port, skew_s, uri)
        for number, skew_s in enumerate(SKEWS_S)
    ]
    rollups = [
        Watching(
            f"rollup{number}", tmp_path, "--prune-older-than=1s", lease_s=LEASE_S, MONGODB_URI=uri
        )
        for number in range(ROLL_UPS)
    ]
    processes = [*hosts, *rollups]
    try:
        for process in processes:
            process.start()
        for host in hosts:
            until(partial(serves, host), f"{host.address} serves", START_S)
        yield hosts
        assert all(process.pid for process in processes)
    finally:
        with ThreadPoolExecutor(len(processes)) as threads:  # each takes seconds to end
            list(threads.map(Process.end, processes))


def serves(host: Host) -> bool:
    try:
        with closing(host.connect()) as connection:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False


def put(host: Host, token: str, **fields: Any) -> tuple[int, Any]:
    with closing(host.connect()) as connection:
        body = json.dumps(a_fix(**fields))
        connection.request("PUT", "/location", body, {"Authorization": f"Bearer {token}"})
        with connection.getresponse() as answer:
            return answer.status, json.load(answer)


def test_hosts_with_different_clocks_store_each_fix_once_and_refuse_a_revoked_token(
    database: Database[Document], hosts: list[Host], replica_set: Members
) -> None:
    phones = {
        user_id: Phone(
            hosts[number % 3 :] + hosts[: number % 3],
            Track(user_id, user_id, autumns(user_id)),
            0.15,
            tokens.add(database, user_id),
        )
        for number, user_id in enumerate([*USERS, LEAVER])
    }
    for phone in phones.values():
        phone.start()
    try:
        served(phones)
        hosts[0].end()
        hosts[0].start()
        until(lambda: serves(hosts[0]), "the host is back", START_S)
        served(phones)
        replica_set.fail_over()
        served(phones)
        [leaver] = tokens.find(database, LEAVER)
        assert tokens.revoke(database, leaver.id)
        revoked = time.monotonic()
        until(lambda: time.monotonic() > revoked + 2 * TRUST_S, "the token is refused everywhere")
    finally:
        for phone in phones.values():
            phone.stop()
        for phone in phones.values():
            phone.join(60)
    codes = {each.code for each in attempts(phones[LEAVER]) if each.began > revoked + TRUST_S}
    assert codes == {401}
    reference = Reference()
    for phone in phones.values():
        assert [fault for entry in phone.entries for fault in misanswered(entry, reference)] == []
    ours = {"user_id": {"$in": list(phones)}}
    until(lambda: database.fixes.find_one(ours) is None, "all fixes are pruned")
    assert differences(database.minutes.find(ours), reference.minutes()) == []
    assert list(verify(database, Report())) == []
    assert len(reference.counted) > 100
    second_readings = [each for each in reference.counted if each.sent.wall.hour == 1]
    assert len(second_readings) > 20


def served(phones: dict[str, Phone]) -> None:
    """Wait until each phone got a 200 from each host for a fix that it sent from now on."""
    now = time.monotonic()

    def since(phone: Client) -> int:
        return sum(each.code == 200 and each.began > now for each in attempts(phone))

    until(
        lambda: all(since(phone) >= len(SKEWS_S) for phone in phones.values()),
        "all phones are served",
    )


def attempts(phone: Client) -> list[Any]:
    return [each for entry in phone.entries.copy() for each in entry.attempts.copy()]


def misanswered(entry: Any, reference: Reference) -> Iterator[str]:
    """Put a fix that was answered 200 into the reference; yield what was answered wrongly."""
    *before, last = entry.attempts
    if last.code == 401 and entry.ask.sent.user_id == LEAVER:
        assert not before, "whether it is stored is unknown"
        return
    yield from referee.misanswered(entry, reference)
    if wild := [each.code for each in before if each.code not in (500, BROKEN)]:
        yield f"{entry.ask} was answered {wild}"


def test_the_host_s_clock_decides_what_is_a_day_ahead_and_when_a_token_expires(
    database: Database[Document], hosts: list[Host]
) -> None:
    token = tokens.add(database, "a1")
    ending = tokens.add(database, "a1", timedelta(seconds=80))
    now = datetime.now(UTC)
    ahead = [now + timedelta(days=1, seconds=each) for each in (-150, -80, 80, 150)]
    walls = [str(time.replace(tzinfo=None)) for time in ahead]
    fixes: list[dict[str, Any]] = [{"timestamp": wall, "lat": 0.0, "long": 0.0} for wall in walls]
    assert [[put(host, token, **each)[0] for each in fixes] for host in hosts] == [
        [200, 400, 400, 400],
        [200, 200, 400, 400],
        [200, 200, 200, 400],
    ]
    assert [put(host, ending)[0] for host in hosts] == [200, 200, 401]


def test_a_primary_that_was_just_elected_reads_a_repeated_hour_right(
    database: Database[Document], replica_set: Members
) -> None:
    one, other = FixStore(database, lambda: NOW), FixStore(database, lambda: NOW)
    for night in ("2016-11-06", "2017-11-05"):
        before, repeated = (
            replace(fix("01-01 00:00:00"), wall=datetime.fromisoformat(f"{night} {time}"))
            for time in ("01:40:00", "01:30:00")
        )
        assert put_until_stored(one, before).fix_time.hour == 5
        replica_set.fail_over()
        until(lambda: bool(replica_set.primaries()), "a primary")
        assert put_until_stored(other, repeated).fix_time.hour == 6
        until(replica_set.whole, "three members, one of them primary")


def put_until_stored(store: FixStore, sent: Sent) -> Receipt:
    """Put a fix again until it is stored, as a phone does."""
    for _ in range(100):
        with suppress(DatabaseUnavailable):
            return store.put(as_fix(sent))
    raise AssertionError("it was never stored")

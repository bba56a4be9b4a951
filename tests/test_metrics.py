"""What Prometheus is told: exact sums over workers, whichever is asked, and what is stored."""

import errno
import logging
import os
import re
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest
from bson import Timestamp
from flask.testing import FlaskClient
from prometheus_client import values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse
from pymongo.database import Database
from pymongo.errors import OperationFailure

from locapi import backlog, fixes, metrics, mongo, watermarks
from locapi.app import create_app
from locapi.errors import Misconfigured
from locapi.fixes import FixStore
from locapi.metrics import Metrics, Stored
from locapi.mongo import Document
from locapi.rollup import roll_up
from locapi.settings import Settings
from tests.conftest import ROOT, Send, free_port
from tests.crashing import received_earlier
from tests.serving import Serving, until
from tests.test_end_to_end import DEADLINE_S, LOCCTL, ask, wait_for_health
from tests.test_server import fix

Samples = dict[str, float]

AWAY = "mongodb://127.0.0.1:1/"


def samples(page: str) -> Samples:
    """Return the value of each series, named as Prometheus names it."""
    return {
        name_of(sample.name, sample.labels): sample.value
        for family in parse(page)
        for sample in family.samples
    }


def name_of(name: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inside}}}" if inside else name


def scrape(api: FlaskClient) -> Samples:
    answer = api.get("/metrics")
    assert answer.status_code == 200
    return samples(answer.text)


def names(families: Iterable[Metric]) -> set[str]:
    return {sample.name for family in families for sample in family.samples}


def page_of(counts: Metrics, stored: Stored | None = None) -> Samples:
    return samples(counts.page("", stored)[0].decode())


def answers(found: Samples) -> dict[str, float]:
    """Return the number of answers by code and verdict, but for `ok`, where there are any."""
    words = re.compile(r'locapi_answers_total{code="(\d+)",verdict="(\w+)"}')
    named = {f"{m[1]} {m[2]}": n for series, n in found.items() if (m := words.match(series))}
    return {name: count for name, count in named.items() if count and name != "200 ok"}


def test_answers_are_counted_by_code_and_verdict(api: FlaskClient) -> None:
    for body in (fix(), fix(), fix(user_id="b"), b"{", b"null", fix(lat=91)):
        api.put("/location", data=body)
    api.post("/location", data=fix())
    api.get("/nowhere")
    api.get("/health")
    found = scrape(api)
    assert answers(found) == {
        "200 stored": 2,
        "200 duplicate": 1,
        "400 invalid_fix": 3,
        "405 method_not_allowed": 1,
        "404 not_found": 1,
    }
    assert found['locapi_answers_total{code="200",verdict="ok"}'] == 1
    labels = '{code="400",verdict="invalid_fix"}'
    assert found[f"locapi_answer_seconds_count{labels}"] == 3
    assert 0 < found[f"locapi_answer_seconds_sum{labels}"] < DEADLINE_S


def test_what_is_expected_is_there_before_it_happens(api: FlaskClient) -> None:
    found = scrape(api)
    assert answers(found) == {}
    for code, verdict in [(200, "stored"), (400, "invalid_fix"), (500, "overloaded")]:
        assert found[name_of("locapi_answers_total", {"code": f"{code}", "verdict": verdict})] == 0


def test_no_label_holds_what_a_client_sent(api: FlaskClient) -> None:
    secret = "zq7secret"
    api.put("/location", data=fix(user_id=secret), headers={"X-Request-ID": secret})
    api.put("/location", data=fix(user_id=secret, lat=secret))
    api.put(f"/{secret}?{secret}", data=secret)
    api.open(f"/location/{secret}", method=secret.upper())
    page = api.get("/metrics", headers={"Accept": secret, "User-Agent": secret})
    assert secret not in page.text.lower()
    assert secret not in str(page.headers).lower()


def test_batches_and_what_waits_for_the_next_are_told(db: Database[Document]) -> None:
    counts = Metrics()
    store = FixStore(db, metrics=counts)
    inserts = store._inserts
    shared = inserts._shared
    shared._calling = True  # as while a batch is on its way
    with ThreadPoolExecutor(3) as threads:
        for number in range(3):
            threads.submit(inserts.insert, {"_id": number})
            until(lambda n=number + 1: bool(shared._next and len(shared._next.items) == n))  # type: ignore[misc]
        assert page_of(counts)["locapi_waiting_fixes"] == 3
        assert shared._next
        shared._next.turn.set()
    found = page_of(counts)
    assert found["locapi_waiting_fixes"] == 0
    assert found["locapi_batch_fixes_count"] == 1
    assert found["locapi_batch_fixes_sum"] == 3


def test_the_page_is_also_to_be_had_as_openmetrics(api: FlaskClient) -> None:
    plain = api.get("/metrics")
    assert plain.content_type == "text/plain; version=0.0.4; charset=utf-8"
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3"
    page = api.get("/metrics", headers={"Accept": accept})
    assert page.content_type.startswith("application/openmetrics-text; version=1.0.0;")
    openmetrics = parse_openmetrics(page.text)  # type: ignore[no-untyped-call]
    assert names(openmetrics) == names(parse(plain.text))


@pytest.mark.parametrize("version", ["x", "1.x", "99", "", "1.0.0\x7f", "=;,"])
def test_an_odd_wish_for_a_form_does_no_harm(api: FlaskClient, version: str) -> None:
    for form in ("application/openmetrics-text", "text/plain"):
        answer = api.get("/metrics", headers={"Accept": f"{form}; version={version}"})
        assert answer.status_code == 200


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "OPTIONS"])
def test_another_method_gets_405(api: FlaskClient, method: str) -> None:
    answer = api.open("/metrics", method=method)
    assert (answer.status_code, answer.json["error"]["code"]) == (405, "method_not_allowed")  # type: ignore[index]


def test_what_is_stored_is_told(api: FlaskClient, send: Send, db: Database[Document]) -> None:
    found = scrape(api)
    assert found["locapi_database_up"] == 1
    assert (found["locapi_raw_fixes"], found["locapi_minutes"]) == (0, 0)
    assert found["locapi_rollup_lag_seconds"] == 0
    assert "locapi_rollup_duration_seconds" not in found

    for second in range(3):
        send(f"2017-01-01 13:05:0{second}")
    roll_up(db)
    found = scrape(api)
    assert (found["locapi_raw_fixes"], found["locapi_minutes"]) == (3, 1)
    assert 0 < found["locapi_rollup_duration_seconds"] < DEADLINE_S


def test_the_lag_grows_with_the_oldest_fix_that_waits_and_falls_with_a_roll_up(
    send: Send, db: Database[Document]
) -> None:
    send()
    received_earlier(db, "fixes")
    roll_up(db)
    assert backlog.read(db).rollup_lag_s == 0

    received_earlier(db, "fixes", "watermarks")  # an hour later, still without a new fix
    assert backlog.read(db).rollup_lag_s == 0

    send("2017-01-01 13:05:13")
    assert backlog.read(db).rollup_lag_s < DEADLINE_S
    for hours in (1, 2):
        received_earlier(db, "fixes", "watermarks")
        send(f"2017-01-01 13:06:0{hours}")  # a younger one that waits too
        assert hours * 3600 <= backlog.read(db).rollup_lag_s < hours * 3600 + DEADLINE_S
    roll_up(db)
    # To the second: a fix of the second in which the roll-up began may still count.
    assert backlog.read(db).rollup_lag_s < DEADLINE_S


def test_fixes_that_were_never_rolled_up_lag(send: Send, db: Database[Document]) -> None:
    send()
    received_earlier(db, "fixes")
    assert 3600 <= backlog.read(db).rollup_lag_s < 3600 + DEADLINE_S


def test_a_clock_that_was_set_back_is_no_negative_lag(send: Send, db: Database[Document]) -> None:
    send()
    ahead = Timestamp(watermarks.after(mongo.settled_time(db)).time + 3600, 0)
    db.fixes.update_many({}, {"$set": {"received_at": ahead}})
    assert backlog.read(db).rollup_lag_s == 0


def test_when_the_database_is_away_the_rest_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (fixes, backlog):
        monkeypatch.setattr(module, "DEADLINE_S", 0.3)
    settings = Settings(mongodb_uri=AWAY)
    with mongo.open_database(settings) as database:
        api = create_app(database=database).test_client()
        assert api.put("/location", data=fix()).status_code == 500
        assert api.put("/location", data=b"{").status_code == 400
        with caplog.at_level(logging.WARNING):
            found = scrape(api)
    assert answers(found) == {"500 database_unavailable": 1, "400 invalid_fix": 1}
    assert found["locapi_database_up"] == 0
    assert not {"locapi_raw_fixes", "locapi_minutes", "locapi_rollup_lag_seconds"} & set(found)
    assert "GET /metrics" in caplog.text


def test_when_the_database_refuses_the_rest_is_told(
    api: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Document:
        raise OperationFailure("not authorized", 13)

    monkeypatch.setattr(watermarks, "entry", refuse)
    assert scrape(api)["locapi_database_up"] == 0


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let this process be several workers, one after the other, that share a directory."""
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    with metrics.sharing():
        yield Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
        values.close_all_multiprocess_files()  # type: ignore[no-untyped-call]


def worker(name: str) -> Metrics:
    metrics.join(name)
    return Metrics()


def test_what_a_killed_worker_counted_stays_and_what_it_was_vanishes(together: Path) -> None:
    killed, other = worker("worker-1"), worker("worker-2")
    killed.answered(200, "stored", 0.003)
    killed.waiting(5)
    other.answered(200, "stored", 0.1)
    other.waiting(2)
    found = page_of(other)
    assert answers(found) == {"200 stored": 2}
    assert (found["locapi_waiting_fixes"], found["locapi_workers"]) == (7, 2)

    metrics.leave("worker-1")
    found = page_of(other)
    assert answers(found) == {"200 stored": 2}
    assert (found["locapi_waiting_fixes"], found["locapi_workers"]) == (2, 1)

    heir = worker("worker-1")
    bucket = 'locapi_answer_seconds_bucket{code="200",le="0.005",verdict="stored"}'
    heir.answered(200, "stored", 0.003)
    for found in (page_of(other), page_of(heir)):
        assert answers(found) == {"200 stored": 3}
        assert found[bucket] == 2
        assert (found["locapi_waiting_fixes"], found["locapi_workers"]) == (2, 2)


def test_an_heir_does_not_inherit_what_waited(together: Path) -> None:
    worker("worker-1").waiting(5)  # and is killed, and nobody says so
    assert page_of(worker("worker-1"))["locapi_waiting_fixes"] == 0


def test_however_many_workers_end_there_are_no_more_files_than_workers_need(
    together: Path,
) -> None:
    for _ in range(5):
        worker("worker-1").answered(404, "not_found", 0.1)
        metrics.leave("worker-1")
    counts = worker("worker-1")
    assert answers(page_of(counts)) == {"404 not_found": 5}
    assert len(list(together.iterdir())) == 2
    assert all(file.stat().st_blocks * 512 >= 1 << 18 for file in together.iterdir())


def test_a_worker_that_finds_the_disk_full_counts_for_itself(
    together: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    counts = worker("worker-1")
    counts.answered(200, "stored", 0.1)
    assert answers(page_of(counts)) == {"200 stored": 1}
    assert "its own, not shared: No space left on device" in caplog.text
    assert list(together.glob("*.db")) == []


def test_where_no_directory_can_be_made_it_is_told_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(tempfile, "TemporaryDirectory", mock.Mock(side_effect=refused))
    with pytest.raises(Misconfigured, match=r"\(Permission denied\); set TMPDIR to"):
        with metrics.sharing():
            pass


@pytest.fixture
def serving(mongodb_uri: str, tmp_path: Path) -> Iterator[Serving]:
    port, log = free_port(), tmp_path / "serve.log"
    environ = {
        **os.environ,
        "MONGODB_URI": mongodb_uri,
        "LOCAPI_DATABASE": f"metrics_{port}",
        "TMPDIR": str(tmp_path),
    }
    command = [str(LOCCTL), "serve", "--port", str(port), "--workers", "2"]
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
    try:
        wait_for_health(f"http://127.0.0.1:{port}", log)
        yield Serving(process, port, log)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def ask_metrics(serving: Serving) -> Samples:
    with urllib.request.urlopen(f"{serving.url}/metrics", timeout=DEADLINE_S) as page:
        return samples(page.read().decode())


def put(serving: Serving, bodies: Iterable[bytes]) -> None:
    """Send each over a connection of its own, as the kernel spreads connections over workers."""
    with ThreadPoolExecutor(8) as threads:
        codes = threads.map(lambda body: ask(serving.url, "PUT", "/location", body)[0], bodies)
        assert set(codes) <= {200, 400}


def stored_by(file: Path) -> float:
    """Return how many fixes the worker of that file stored."""
    families = MultiProcessCollector.merge([str(file)])  # type: ignore[no-untyped-call]
    counts = {name_of(each.name, each.labels): each.value for f in families for each in f.samples}
    return float(counts['locapi_answer_seconds_count{code="200",verdict="stored"}'])


def test_whichever_worker_is_asked_the_sums_are_exact_also_when_one_was_killed(
    serving: Serving, tmp_path: Path
) -> None:
    until(lambda: ask_metrics(serving)["locapi_workers"] == 2)
    put(serving, [fix(user_id=f"u{n}") for n in range(60)])
    put(serving, [*(fix(user_id=f"u{n}") for n in range(20)), *[b"{"] * 10])
    sums = {"200 stored": 60.0, "200 duplicate": 20.0, "400 invalid_fix": 10.0}
    (shared,) = tmp_path.glob("locapi-metrics-*")
    assert shared.stat().st_mode & 0o777 == 0o700
    assert stored_by(shared / "histogram_worker-1.db") > 0
    assert stored_by(shared / "histogram_worker-2.db") > 0
    for _ in range(10):
        found = ask_metrics(serving)
        assert answers(found) == sums
        stored = {"code": "200", "le": "+Inf", "verdict": "stored"}
        assert found[name_of("locapi_answer_seconds_bucket", stored)] == 60
        assert found["locapi_batch_fixes_sum"] == 80
        assert found["locapi_waiting_fixes"] == 0

    killed = serving.workers()[0]
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(serving.workers()) == 2 and killed not in serving.workers())
    put(serving, [fix(user_id=f"v{n}") for n in range(30)])
    until(lambda: ask_metrics(serving)["locapi_workers"] == 2)
    for _ in range(10):
        assert answers(ask_metrics(serving)) == {**sums, "200 stored": 90.0}
    assert len(list(shared.iterdir())) == 4

    serving.process.send_signal(signal.SIGINT)
    assert serving.process.wait(DEADLINE_S) == 0, serving.log.read_text()
    assert not shared.exists()
    assert "Traceback" not in serving.log.read_text()


def test_every_metric_is_in_the_manual() -> None:
    counts = Metrics()
    page = counts.page("", Stored(1, 1, 1.0, 1.0))[0].decode()
    manual = (ROOT / "docs" / "OPERATIONS.md").read_text()
    told = set(re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE))
    assert set(re.findall(r"`(locapi_\w+)`", manual)) == told

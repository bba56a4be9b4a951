"""Metrics: exact sums over all workers from any worker, and what is stored."""

import errno
import logging
import os
import re
import signal
import tempfile
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest
from bson import Timestamp
from flask.testing import FlaskClient
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse
from pymongo.database import Database
from pymongo.errors import OperationFailure

from locapi.api.app import create_app
from locapi.errors import Misconfigured
from locapi.ingest import store
from locapi.ingest.group_commit import GroupCommit
from locapi.monitoring import backlog, metrics
from locapi.monitoring.backlog import Stored
from locapi.monitoring.metrics import Metrics, choose_page
from locapi.rollup import watermarks
from locapi.rollup.fold import fold_new_fixes
from locapi.settings import Settings
from locapi.storage import mongo, read_points
from locapi.storage.documents import Document
from tests.conftest import ROOT, Send
from tests.support.crashing import received_earlier
from tests.support.fixes import fix
from tests.support.insert_gate import gated
from tests.support.processes import DEADLINE_S, ask, until
from tests.support.serving import Serving, serve

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
    return samples(choose_page(counts.pages(stored), "").content.decode())


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


def test_expected_responses_are_counted_from_zero(api: FlaskClient) -> None:
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


def test_batches_and_waiting_fixes_are_counted(db: Database[Document]) -> None:
    counts = Metrics()
    commits = GroupCommit(db["things"], counts)
    with ThreadPoolExecutor(4) as threads, gated(db["things"]) as gate:
        threads.submit(commits.insert, [{"_id": 0}])
        gate.wait_for_batch()
        for number in (1, 2, 3):
            threads.submit(commits.insert, [{"_id": number}])
            until(lambda n=number: page_of(counts)["locapi_waiting_fixes"] == n)  # type: ignore[misc]
        gate.open(2)
    found = page_of(counts)
    assert found["locapi_waiting_fixes"] == 0
    assert found["locapi_batch_fixes_count"] == 2
    assert found["locapi_batch_fixes_sum"] == 4


def test_page_is_available_as_openmetrics(api: FlaskClient) -> None:
    plain = api.get("/metrics")
    assert plain.content_type == "text/plain; version=0.0.4; charset=utf-8"
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3"
    page = api.get("/metrics", headers={"Accept": accept})
    assert page.content_type.startswith("application/openmetrics-text; version=1.0.0;")
    openmetrics = parse_openmetrics(page.text)  # type: ignore[no-untyped-call]
    assert names(openmetrics) == names(parse(plain.text))


@pytest.mark.parametrize("version", ["x", "1.x", "99", "", "1.0.0\x7f", "=;,"])
def test_unusual_accept_headers_get_a_page(api: FlaskClient, version: str) -> None:
    for form in ("application/openmetrics-text", "text/plain"):
        answer = api.get("/metrics", headers={"Accept": f"{form}; version={version}"})
        assert answer.status_code == 200


def test_scrapes_within_a_second_share_one_read(api: FlaskClient) -> None:
    with mock.patch.object(backlog, "read", wraps=backlog.read) as read:
        for form in ("text/plain", "application/openmetrics-text") * 10:
            api.get("/metrics", headers={"Accept": form})
    assert read.call_count == 1


def test_stored_documents_and_the_last_roll_up_are_reported(
    api: FlaskClient, send: Send, db: Database[Document]
) -> None:
    found = scrape(api)
    assert found["locapi_database_up"] == 1
    assert (found["locapi_raw_fixes"], found["locapi_minutes"]) == (0, 0)
    assert found["locapi_rollup_lag_seconds"] == 0
    assert "locapi_rollup_duration_seconds" not in found

    for second in range(3):
        send(f"2017-01-01 13:05:0{second}")
    fold_new_fixes(db)
    found = scrape(create_app(database=db).test_client())  # the first page is kept for a second
    assert (found["locapi_raw_fixes"], found["locapi_minutes"]) == (3, 1)
    assert 0 < found["locapi_rollup_duration_seconds"] < DEADLINE_S


def test_the_lag_grows_with_the_oldest_fix_that_waits_and_falls_with_a_roll_up(
    send: Send, db: Database[Document]
) -> None:
    send()
    received_earlier(db, "fixes")
    fold_new_fixes(db)
    assert backlog.read(db).rollup_lag_s == 0

    received_earlier(db, "fixes", "watermarks")  # an hour later, still without a new fix
    assert backlog.read(db).rollup_lag_s == 0

    send("2017-01-01 13:05:13")
    assert backlog.read(db).rollup_lag_s < DEADLINE_S
    for hours in (1, 2):
        received_earlier(db, "fixes", "watermarks")
        send(f"2017-01-01 13:06:0{hours}")  # a younger one that waits too
        assert hours * 3600 <= backlog.read(db).rollup_lag_s < hours * 3600 + DEADLINE_S
    fold_new_fixes(db)
    # To the second: a fix of the second in which the roll-up began may still count.
    assert backlog.read(db).rollup_lag_s < DEADLINE_S


def test_fixes_that_were_never_rolled_up_lag(send: Send, db: Database[Document]) -> None:
    send()
    received_earlier(db, "fixes")
    assert 3600 <= backlog.read(db).rollup_lag_s < 3600 + DEADLINE_S


def test_a_clock_that_was_set_back_is_no_negative_lag(send: Send, db: Database[Document]) -> None:
    send()
    ahead = Timestamp(watermarks.after(read_points.majority_read_time(db)).time + 3600, 0)
    db.fixes.update_many({}, {"$set": {"received_at": ahead}})
    assert backlog.read(db).rollup_lag_s == 0


def test_other_metrics_are_reported_while_the_database_is_unavailable(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (store, backlog):
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


def test_other_metrics_are_reported_while_the_database_refuses(
    api: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Document:
        raise OperationFailure("not authorized", 13)

    monkeypatch.setattr(watermarks, "entry", refuse)
    assert scrape(api)["locapi_database_up"] == 0


def test_missing_directory_for_the_workers_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(tempfile, "TemporaryDirectory", mock.Mock(side_effect=refused))
    with pytest.raises(Misconfigured, match=r"metrics: Permission denied\. Set TMPDIR"):
        with metrics.shared_directory():
            pass


@pytest.fixture
def serving(mongodb_uri: str, tmp_path: Path) -> Iterator[Serving]:
    with serve(mongodb_uri, tmp_path, environ={"TMPDIR": str(tmp_path)}) as serving:
        yield serving


def ask_metrics(serving: Serving) -> Samples:
    with urllib.request.urlopen(f"{serving.url}/metrics", timeout=DEADLINE_S) as page:
        return samples(page.read().decode())


def reports(serving: Serving, sums: dict[str, float]) -> bool:
    """Return whether both workers report these sums; each keeps its page for a second."""
    return all(answers(ask_metrics(serving)) == sums for _ in range(10))


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


def test_sums_are_exact_whichever_worker_reports_and_after_one_was_killed(
    serving: Serving, tmp_path: Path
) -> None:
    assert ask_metrics(serving)["locapi_workers"] == 2
    put(serving, [fix(user_id=f"u{n}") for n in range(60)])
    put(serving, [*(fix(user_id=f"u{n}") for n in range(20)), *[b"{"] * 10])
    sums = {"200 stored": 60.0, "200 duplicate": 20.0, "400 invalid_fix": 10.0}
    (shared,) = tmp_path.glob("locapi-metrics-*")
    assert shared.stat().st_mode & 0o777 == 0o700
    assert all(stored_by(file) for file in shared.glob("histogram_*.db"))
    until(lambda: reports(serving, sums))
    for _ in range(10):
        found = ask_metrics(serving)
        stored = {"code": "200", "le": "+Inf", "verdict": "stored"}
        assert found[name_of("locapi_answer_seconds_bucket", stored)] == 60
        assert found["locapi_batch_fixes_sum"] == 80
        assert found["locapi_waiting_fixes"] == 0

    killed = serving.workers()[0]
    os.kill(killed, signal.SIGKILL)
    until(lambda: serving.replaced([killed]))
    put(serving, [fix(user_id=f"v{n}") for n in range(30)])
    until(lambda: reports(serving, {**sums, "200 stored": 90.0}))
    assert ask_metrics(serving)["locapi_workers"] == 2

    serving.process.send_signal(signal.SIGINT)
    assert serving.process.wait(DEADLINE_S) == 0, serving.log.read_text()
    assert not shared.exists()
    assert "Traceback" not in serving.log.read_text()


def test_every_metric_is_in_the_manual() -> None:
    counts = Metrics()
    page = choose_page(counts.pages(Stored(1, 1, 1.0, 1.0, 0)), "").content.decode()
    manual = (ROOT / "docs" / "OPERATIONS.md").read_text()
    reported = set(re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE))
    assert set(re.findall(r"`(locapi_\w+)`", manual)) == reported

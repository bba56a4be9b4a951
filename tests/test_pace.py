"""How fast fixes come, from how many users, and what the API answers."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from bson import Timestamp
from pymongo.database import Database

from locapi import keys, pace
from locapi.errors import ApiUnreachable, Misconfigured
from locapi.mongo import Document
from locapi.pace import AnswerRates, Pace, Pacer
from tests.conftest import Commands

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def receive(db: Database[Document], user_id: str, *seconds_ago: float) -> None:
    """Let fixes of a user be received so long before AT."""
    before = db.fixes.count_documents({})
    db.fixes.insert_many(
        {
            "_id": f"{user_id}\t{before + number}",
            "user_id": user_id,
            "slice": keys.slice_of(user_id),
            "received_at": Timestamp(AT - timedelta(seconds=each), number + 1),
        }
        for number, each in enumerate(seconds_ago)
    )


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def test_rates_are_means_over_ten_seconds_and_users_are_active_for_five_minutes(
    db: Database[Document],
) -> None:
    receive(db, "too long ago", 302)
    receive(db, "a", 301, 200)
    receive(db, "b", 12, 11, 10, 2)
    receive(db, "too new to be sure", 1, 0)
    assert Pacer(db).look(AT) == Pace(fixes_per_s=0.3, users=2, within_s=300)


def test_each_look_reads_only_what_came_since(db: Database[Document]) -> None:
    receive(db, "a", 250)
    receive(db, "b", 100)
    pacer = Pacer(db)
    assert pacer.look(AT).users == 2
    db.fixes.delete_many({})
    receive(db, "c", -1)
    assert pacer.look(later(3)) == Pace(0.1, users=3, within_s=300)
    assert pacer.look(later(60)) == Pace(0.0, users=2, within_s=300)  # a is gone
    assert pacer.look(later(310)) == Pace(0.0, users=0, within_s=300)


def test_much_is_not_read_all_at_once_and_the_shorter_time_is_told(
    db: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "_MAX_FIXES", 3)
    receive(db, "a", 100)
    receive(db, "b", 9, 8, 7, 6)
    pacer = Pacer(db)
    assert pacer.look(AT) == Pace(0.4, users=1, within_s=7)
    receive(db, "c", -1)
    assert pacer.look(later(4)) == Pace(0.3, users=2, within_s=11)


def test_a_clock_that_was_set_back_changes_nothing(db: Database[Document]) -> None:
    receive(db, "a", 100)
    pacer = Pacer(db)
    assert pacer.look(AT).users == 1
    assert pacer.look(later(-60)).users == 1
    receive(db, "b", -5)
    assert pacer.look(later(10)).users == 2


def test_a_look_is_three_commands_and_reads_no_collection_through(
    watched: Database[Document], commands: Commands, db: Database[Document]
) -> None:
    receive(db, "old", *range(1_000, 1_300))
    receive(db, "a", 5)
    pacer = Pacer(watched)
    commands.names.clear()
    db.command("profile", 2)
    assert pacer.look(AT).users == 1
    db.command("profile", 0)
    assert commands.names == ["find", "aggregate", "aggregate"]
    plans = list(db["system.profile"].find({"planSummary": {"$exists": True}}))
    assert len(plans) == 3
    for plan in plans:
        assert "COLLSCAN" not in plan["planSummary"], plan
        assert plan["docsExamined"] <= 1


PAGE = """\
# HELP locapi_answers_total Answers, by status code and verdict.
# TYPE locapi_answers_total counter
locapi_answers_total{{code="200",verdict="stored"}} {stored}
locapi_answers_total{{code="400",verdict="invalid_fix"}} 2.0
locapi_answers_total{{code="500",verdict="internal_error"}} 1.0
locapi_answers_total{{code="503",verdict="internal_error"}} {errors}
locapi_answer_seconds_count{{code="200",verdict="stored"}} 7.0
"""


class Api:
    """Something that answers as the API does, or not."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.status, self.body, self.paths = 200, "", list[str]()

    def counts(self, stored: float, errors: float = 0.0) -> None:
        self.body = PAGE.format(stored=stored, errors=errors)


@contextmanager
def answering() -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.paths.append(self.path)
            self.send_response(told.status)
            self.end_headers()
            self.wfile.write(told.body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        told = Api(server.server_port)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def api() -> Iterator[Api]:
    with answering() as answers:
        yield answers


def test_answers_a_second_are_told_by_verdict_as_means_over_ten_seconds(api: Api) -> None:
    rates = AnswerRates(api.url)
    api.counts(stored=1_000)
    assert rates.look(100.0) == {"stored": 0.0, "invalid_fix": 0.0, "internal_error": 0.0}
    api.counts(stored=1_020, errors=4)
    assert rates.look(102.0) == {"stored": 10.0, "invalid_fix": 0.0, "internal_error": 2.0}
    api.counts(stored=1_050, errors=4)
    assert rates.look(110.0)["stored"] == 5.0
    assert rates.look(113.0) == {"stored": 30 / 11, "invalid_fix": 0, "internal_error": 0}
    assert set(api.paths) == {"/metrics"}


def test_an_api_that_was_started_anew_begins_anew(api: Api) -> None:
    rates = AnswerRates(api.url)
    for now, stored in ((0.0, 1_000), (2.0, 1_010), (4.0, 3)):
        api.counts(stored)
        found = rates.look(now)
    assert found["stored"] == 0.0
    api.counts(23)
    assert rates.look(6.0)["stored"] == 10.0


def test_an_api_behind_a_path_is_asked_there(api: Api) -> None:
    api.counts(1)
    AnswerRates(f"{api.url}/locations/").look(0.0)
    assert api.paths == ["/locations/metrics"]


@pytest.mark.parametrize(("status", "body"), [(404, PAGE), (200, "<html>"), (200, "")])
def test_what_is_no_page_of_metrics_is_said(api: Api, status: int, body: str) -> None:
    api.status, api.body = status, body
    with pytest.raises(ApiUnreachable) as raised:
        AnswerRates(api.url).look(0.0)
    assert str(raised.value) == f"no metrics of locapi at that address (status {status})"


def test_an_api_that_is_away_is_said_and_is_found_again() -> None:
    with answering() as api:
        rates = AnswerRates(api.url)
        api.counts(1)
        rates.look(0.0)
    with pytest.raises(ApiUnreachable) as raised:
        rates.look(1.0)
    assert str(raised.value) == "the API does not answer (Connection refused)"
    with answering() as other:
        other.counts(5)
        rates._connection.port = int(other.url.rpartition(":")[2])
        assert rates.look(2.0)["stored"] == 2.0


def test_an_api_that_does_not_answer_in_time_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_API_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        rates = AnswerRates(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ApiUnreachable) as raised:
            rates.look(0.0)
    assert str(raised.value) == "the API does not answer (timed out)"


def greet(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"SSH-2.0-x\r\n")


def test_what_speaks_no_http_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=greet, args=(server,))
        thread.start()
        with pytest.raises(ApiUnreachable):
            AnswerRates(f"http://127.0.0.1:{server.getsockname()[1]}").look(0.0)
        thread.join()


@pytest.mark.parametrize(
    "url",
    ["", "localhost:5000", "ftp://x", "http://", "http://x:y", "http://[", "http://a:b@x", "/x"],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="--api is the API's address, such as http://"):
        AnswerRates(url)

"""Requests as greenlets on one event loop: they share commits, and none blocks another."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request, send_file
from pymongo.database import Database

from locapi.api import bridge
from locapi.api.app import create_app
from locapi.api.bridge import Bridge
from locapi.concurrency import greenlets
from locapi.ingest.known_fixes import Copy, KnownFixes
from locapi.storage.documents import FIXES, Document
from tests.support.bridge import DEADLINE_S, Answer, Headers, ask, run
from tests.support.fixes import fix


@pytest.fixture
def serve(db: Database[Document]) -> Bridge:
    return Bridge(create_app(database=db))


@pytest.mark.parametrize("chunked", [False, True])
def test_fix_in_parts_is_stored(serve: Bridge, db: Database[Document], chunked: bool) -> None:
    body = fix(user_id="ü")
    answer = run(ask(serve, body[:9], body[9:], chunked=chunked))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert json.loads(answer.body) == {
        "status": "stored",
        "fix_time": "2017-01-01T18:05:12Z",
        "tz": "America/New_York",
    }
    assert db[FIXES].count_documents({"user_id": "ü"}) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/lücke", 404),
        ("GET", "//", 404),
        ("GET", "//health", 404),
        ("POST", "/", 405),
        ("POST", "/location", 405),
    ],
)
def test_other_paths_and_methods_are_answered_in_json(
    serve: Bridge, method: str, path: str, status: int
) -> None:
    answer = run(ask(serve, method=method, path=path))
    assert answer.status == status
    assert ("error" in json.loads(answer.body)) == (status != 200)


def test_head_has_headers_and_no_body(serve: Bridge) -> None:
    answer = run(ask(serve, method="HEAD", path="/health"))
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == "16"


@pytest.mark.parametrize("count", [10, 1_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_too_long_body_is_refused_after_at_most_a_mebibyte(
    serve: Bridge, count: int, chunked: bool
) -> None:
    """A body of 10 parts is read to its end, one of 1,000 is not."""
    endless = (b" " * 10_000,) * count
    answer = run(ask(serve, *endless, chunked=chunked, broken_off=count > 100))
    assert (answer.status, code(answer)) == (400, "invalid_fix")
    assert b"more than 8192 bytes" in answer.body


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("body", [fix(), fix()[:-1]])
def test_fix_whose_body_breaks_off_is_not_stored(
    serve: Bridge, db: Database[Document], body: bytes, chunked: bool
) -> None:
    answer = run(ask(serve, body, chunked=chunked, broken_off=True))
    assert (answer.status, code(answer)) == (400, "invalid_fix")
    assert db[FIXES].count_documents({}) == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_body_that_does_not_arrive_in_time_may_be_sent_again(
    serve: Bridge, monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    monkeypatch.setattr(bridge, "BODY_S", 0.05)
    answer = run(ask(serve, fix(), chunked=chunked, arrives=False))
    assert (answer.status, code(answer)) == (500, "request_timeout")
    assert answer.headers["Retry-After"] == "2"


def code(answer: Answer) -> Any:
    return json.loads(answer.body)["error"]["code"]


def test_request_that_waits_blocks_no_other(serve: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    @greenlets.run_in_thread
    def stuck(*_: Any) -> dict[str, Copy]:
        release.wait(DEADLINE_S)
        return {}

    monkeypatch.setattr(KnownFixes, "raw_copies", stuck)

    async def scene() -> list[int]:
        assert (await ask(serve, fix())).status == 200
        repeat = asyncio.create_task(ask(serve, fix()))
        others = await asyncio.gather(
            *(ask(serve, fix(user_id=f"u{number}")) for number in range(50)),
            ask(serve, b"{}"),
            ask(serve, method="GET", path="/health"),
        )
        assert not repeat.done()
        release.set()
        await repeat
        return [answer.status for answer in others]

    assert run(scene()) == [200] * 50 + [400, 200]


def test_requests_beyond_the_bound_are_refused_at_once(
    serve: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "MAX_IN_PROGRESS", 20)

    async def scene() -> list[Answer]:
        asked = [ask(serve, fix(user_id=f"u{number}")) for number in range(30)]
        alive = ask(serve, method="GET", path="/livez")
        return [*await asyncio.gather(*asked, alive), await ask(serve, fix(user_id="after"))]

    answers = run(scene())
    assert [answer.status for answer in answers] == [200] * 20 + [500] * 10 + [200, 200]
    assert code(answers[25]) == "overloaded"
    assert answers[25].headers["Retry-After"] == "2"


def test_environ_is_that_of_wsgi_and_middleware_runs() -> None:
    app, seen = Flask("test"), list[dict[str, Any]]()

    @app.post("/ü")
    def view() -> tuple[bytes, int]:
        return request.get_data(), 201

    inner = app.wsgi_app

    def middleware(environ: dict[str, Any], start_response: Any) -> Any:
        seen.append(environ)
        return inner(environ, start_response)

    app.wsgi_app = middleware  # type: ignore[method-assign]
    headers = Headers(
        ("content-length", "4"),
        ("content-type", "a/b"),
        ("x-one", "1"),
        ("x-one", "2"),
        ("x_one", "spoofed"),
        ("x-two", "é"),
    )
    scope: dict[str, Any] = {
        "http_version": "1",
        "scheme": "https",
        "client": "[::1]:9",
        "query_string": "a=Ł",
    }
    answer = run(ask(Bridge(app), b"body", method="POST", path="/ü", headers=headers, **scope))
    assert (answer.status, answer.body) == (201, b"body")
    (environ,) = seen
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/ü"
    assert (environ["HTTP_X_ONE"], environ["CONTENT_TYPE"]) == ("1,2", "a/b")
    assert environ["HTTP_X_TWO"].encode("latin-1").decode() == "\ufffd"
    assert environ["QUERY_STRING"].encode("latin-1").decode() == "a=Ł"
    assert environ["CONTENT_LENGTH"] == "4"
    assert (environ["SERVER_PROTOCOL"], environ["REMOTE_ADDR"]) == ("HTTP/1", "::1")
    assert environ["wsgi.url_scheme"] == "https"


def test_file_is_sent_from_the_disk_and_closed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bridge, "OPEN_S", 0)
    path, app = tmp_path / "file", Flask("test")
    path.write_bytes(b"from the disk")
    file = path.open("rb")
    app.add_url_rule("/", view_func=lambda: send_file(file, "text/plain"))

    async def scene() -> Answer:
        answer = await ask(Bridge(app), method="GET", path="/")
        while not file.closed:
            await asyncio.sleep(0)
        return answer

    answer = run(scene())
    assert (answer.status, answer.body) == (200, b"from the disk")
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_error_in_a_thread_reaches_the_greenlet_that_waits() -> None:
    @greenlets.run_in_thread
    def fails() -> None:
        raise KeyError("x")

    def call() -> str:
        with pytest.raises(KeyError, match="x"):
            fails()
        return "went on"

    assert run(greenlets.run(call)) == "went on"
    with pytest.raises(KeyError):
        run(greenlets.run(fails))


def test_threads_wait_for_an_event() -> None:
    event = greenlets.Event()
    threads = [threading.Thread(target=event.wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    event.set()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in threads)


def test_greenlets_wait_for_an_event() -> None:
    events = []

    def first() -> None:
        events.append(greenlets.Event())
        events[0].wait()

    async def scene() -> None:
        waiting = [asyncio.create_task(greenlets.run(first))]
        await asyncio.sleep(0)
        waiting += [asyncio.create_task(greenlets.run(events[0].wait)) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        events[0].set()
        events[0].set()
        await asyncio.gather(*waiting)

    run(scene())

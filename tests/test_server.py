"""Requests as greenlets on one event loop: they share commits, and none holds up another."""

import asyncio
import json
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
from pymongo.database import Database

from locapi import greenlets, server
from locapi.app import create_app
from locapi.fixes import FixStore
from locapi.mongo import FIXES, Document
from locapi.server import Message, Server
from tests.conftest import a_fix

DEADLINE_S = 30


@pytest.fixture
def serve(db: Database[Document]) -> Server:
    return Server(create_app(database=db))


async def ask(
    serve: Server,
    *parts: bytes,
    method: str = "PUT",
    path: str = "/location",
    headers: dict[bytes, bytes] | None = None,
    broken_off: bool = False,
) -> tuple[int, dict[bytes, bytes], bytes] | None:
    """Send a request whose body comes in parts; return status, headers and body."""
    received: list[Message] = [
        {"type": "http.request", "body": part, "more_body": broken_off or index < len(parts) - 1}
        for index, part in enumerate(parts or (b"",))
    ]
    received.append({"type": "http.disconnect"})
    sent: list[Message] = []

    async def receive() -> Message:
        return received.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "headers": list((headers or {}).items()),
    }
    await serve(scope, receive, send)
    if not sent:
        return None
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, DEADLINE_S))


def fix(**fields: Any) -> bytes:
    return json.dumps(a_fix(**fields)).encode()


def test_a_fix_in_parts_is_stored(serve: Server, db: Database[Document]) -> None:
    body = fix(user_id="ü")
    status, headers, answer = run(ask(serve, body[:9], body[9:], b""))
    assert (status, headers[b"Content-Type"]) == (200, b"application/json")
    assert int(headers[b"Content-Length"]) == len(answer)
    assert json.loads(answer) == {
        "status": "stored",
        "fix_time": "2017-01-01T18:05:12Z",
        "tz": "America/New_York",
    }
    assert db[FIXES].count_documents({"user_id": "ü"}) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/health", 200), ("HEAD", "/health", 200), ("GET", "/lücke", 404), ("POST", "/", 404)],
)
def test_other_paths_and_methods_are_answered(
    serve: Server, method: str, path: str, status: int
) -> None:
    answer = run(ask(serve, method=method, path=path))
    assert answer[0] == status
    assert json.loads(answer[2])  # which the HTTP server leaves out for HEAD


def test_a_body_too_long_is_read_on_for_a_while_and_refused(serve: Server) -> None:
    status, headers, _ = run(ask(serve, *[b" " * 10_000] * 10))
    assert (status, b"connection" in headers) == (400, False)


def test_a_body_without_end_is_refused_and_its_connection_closed(serve: Server) -> None:
    endless = [b" " * 65_536] * 1_000
    status, headers, _ = run(ask(serve, *endless, broken_off=True))
    assert (status, headers[b"connection"]) == (400, b"close")


def test_a_fix_whose_body_breaks_off_is_not_stored(serve: Server, db: Database[Document]) -> None:
    assert run(ask(serve, fix()[:-1], broken_off=True)) is None
    assert run(ask(serve, fix(), broken_off=True)) is None
    assert db[FIXES].count_documents({}) == 0


def test_a_request_that_waits_holds_up_no_other(
    serve: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    @greenlets.aside
    def stuck(*_: Any) -> None:
        release.wait(DEADLINE_S)

    monkeypatch.setattr(FixStore, "_first_copy", stuck)

    async def scene() -> list[int]:
        assert (await ask(serve, fix()))[0] == 200  # type: ignore[index]
        repeat = asyncio.create_task(ask(serve, fix()))
        others = await asyncio.gather(
            *(ask(serve, fix(user_id=f"u{number}")) for number in range(50)),
            ask(serve, b"{}"),
            ask(serve, method="GET", path="/health"),
        )
        assert not repeat.done()
        release.set()
        await repeat
        return [answer[0] for answer in others if answer]

    assert run(scene()) == [200] * 50 + [400, 200]


def test_more_requests_than_a_worker_answers_in_time_are_put_off(
    serve: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_IN_PROGRESS", 20)

    async def scene() -> list[Any]:
        asked = [ask(serve, fix(user_id=f"u{number}")) for number in range(30)]
        return [*await asyncio.gather(*asked), await ask(serve, fix(user_id="after"))]

    answers = run(scene())
    assert [answer[0] for answer in answers] == [200] * 20 + [500] * 10 + [200]
    _, headers, body = answers[25]
    assert json.loads(body)["error"]["code"] == "overloaded"
    assert headers[b"Retry-After"] == b"2"


def test_a_request_that_waits_when_the_worker_has_to_end_is_answered(
    serve: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(FixStore, "_old_copy", greenlets.aside(lambda *_: release.wait(DEADLINE_S)))

    async def scene() -> Any:
        waiting = asyncio.create_task(ask(serve, fix()))
        while not serve._in_progress:
            await asyncio.sleep(0)
        waiting.cancel()
        answer = await waiting
        release.set()
        return answer

    status, headers, body = run(scene())
    assert (status, json.loads(body)["error"]["code"]) == (500, "database_unavailable")
    assert headers[b"Retry-After"] == b"2"


def test_an_error_in_a_greenlet_reaches_who_waits() -> None:
    @greenlets.aside
    def fails() -> None:
        raise KeyError("x")

    def request() -> str:
        with pytest.raises(KeyError, match="x"):
            fails()
        return "went on"

    assert run(greenlets.run(request)) == "went on"
    with pytest.raises(KeyError):
        run(greenlets.run(fails))


def test_threads_and_greenlets_wait_for_an_event() -> None:
    def in_threads() -> None:
        event = greenlets.Event()
        threads = [threading.Thread(target=event.wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        event.set()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert not any(thread.is_alive() for thread in threads)

    async def on_a_loop() -> None:
        events = []

        def first() -> None:
            events.append(greenlets.Event())
            events[0].wait()

        waiting = [asyncio.create_task(greenlets.run(first))]
        await asyncio.sleep(0)
        waiting += [asyncio.create_task(greenlets.run(events[0].wait)) for _ in range(3)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        events[0].set()
        events[0].set()
        await asyncio.gather(*waiting)

    in_threads()
    run(on_a_loop())


def test_the_environment_of_a_request_is_that_of_wsgi() -> None:
    scope = {
        "method": "PUT",
        "path": "/ü",
        "query_string": b"a=1",
        "http_version": "1.0",
        "scheme": "https",
        "client": None,
        "headers": [(b"content-type", b"a/b"), (b"x-one", b"1"), (b"x-one", b"2")],
    }
    environ = server._environ(scope, b"body")
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/ü"
    assert (environ["HTTP_X_ONE"], environ["CONTENT_TYPE"]) == ("1,2", "a/b")
    assert (environ["CONTENT_LENGTH"], environ["wsgi.input"].read()) == ("4", b"body")
    assert (environ["SERVER_PROTOCOL"], environ["REMOTE_ADDR"]) == ("HTTP/1.0", "")

"""What the server answers to HTTP that is odd, broken or meant to harm, by raw sockets."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest
from pymongo.database import Database

from locapi.mongo import FIXES, Document
from tests.conftest import ROOT, a_fix
from tests.raw import HEALTH, Answer, answers, connect, head, put, receive
from tests.serving import Serving, serve

HIDDEN = put("hidden")  # what a request tries to smuggle
FIX = json.dumps(a_fix()).encode()
SIZE = len(FIX)
CHUNKED = "Transfer-Encoding: chunked"
CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, FIX)


def length(value: object) -> str:
    return f"Content-Length: {value}"


def chunks(*parts: bytes, more: tuple[str, ...] = ()) -> bytes:
    return head(CHUNKED, *more) + b"".join(parts)


def path(target: str) -> bytes:
    return head(length(SIZE), target=target) + FIX


# What is sent, and the statuses answered; a connection is closed where that is said.
CASES: dict[str, tuple[bytes, str]] = {
    "Content-Length, then chunked": (
        head(length(4), CHUNKED) + CHUNK + HIDDEN,
        "400, closed",
    ),
    "chunked, then Content-Length": (chunks(CHUNK, HIDDEN, more=(length(4),)), "400, closed"),
    "two Content-Lengths that differ": (head(length(SIZE), length(5)) + FIX, "400, closed"),
    "two Content-Lengths that agree": (head(length(SIZE), length(SIZE)) + FIX, "400, closed"),
    "a Content-Length that is a list": (head(length(f"{SIZE}, {SIZE}")) + FIX, "400, closed"),
    "a Content-Length below zero": (head(length(-1)) + FIX, "400, closed"),
    "a Content-Length with a plus": (head(length(f"+{SIZE}")) + FIX, "400, closed"),
    "a Content-Length in hexadecimal": (head(length("0x20")) + FIX, "400, closed"),
    "a Content-Length of 30 digits": (head(length("9" * 30)) + FIX, "400, closed"),
    "a Content-Length that is empty": (head(length("")) + FIX, "400, closed"),
    "a space before a colon": (head(f"Content-Length : {SIZE}") + FIX, "400, closed"),
    "chunked twice": (chunks(CHUNK, HIDDEN, more=(CHUNKED,)), "400, closed"),
    "chunked, then identity": (
        chunks(CHUNK, HIDDEN, more=("Transfer-Encoding: identity",)),
        "400, closed",
    ),
    "a transfer coding that is unknown": (
        head("Transfer-Encoding: xchunked") + CHUNK + HIDDEN,
        "400, closed",
    ),
    "chunked that is not the last coding": (
        head("Transfer-Encoding: chunked, gzip") + CHUNK + HIDDEN,
        "400, closed",
    ),
    "chunked behind a vertical tab": (
        head("Transfer-Encoding: \x0bchunked") + CHUNK + HIDDEN,
        "400, closed",
    ),
    "chunked on a folded line": (
        head("Transfer-Encoding:\r\n chunked") + CHUNK + HIDDEN,
        "400, closed",
    ),
    "CHUNKED in capitals": (head("Transfer-Encoding: CHUNKED") + CHUNK, "200"),
    "chunked in HTTP/1.0": (
        head(CHUNKED, version="1.0") + CHUNK + HIDDEN,
        "200, closed",
    ),
    "lines that end with a bare LF": (
        head(length(SIZE)).replace(b"\r\n", b"\n") + FIX,
        "400, closed",
    ),
    "a bare LF in a header": (head("X: a\nY: b", length(SIZE)) + FIX, "400, closed"),
    "a bare CR in a header": (head("X: a\rb", length(SIZE)) + FIX, "400, closed"),
    "a NUL in a header": (head("X: a\0b", length(SIZE)) + FIX, "400, closed"),
    "a folded header": (head("X: a\r\n b", length(SIZE)) + FIX, "400, closed"),
    "a space in a header's name": (head("X Y: a", length(SIZE)) + FIX, "400, closed"),
    "a header without a colon": (head("X", length(SIZE)) + FIX, "400, closed"),
    "no Host": (b"PUT /location HTTP/1.1\r\n%b\r\n\r\n%b" % (length(SIZE).encode(), FIX), "200"),
    "two Hosts": (head("Host: y", length(SIZE)) + FIX, "200"),
    "a chunk's size below zero": (chunks(b"-1\r\n", FIX), "400, closed"),
    "a chunk's size beyond 64 bits": (chunks(b"f" * 17, b"\r\n", FIX), "400, closed"),
    "a chunk's size with 0x": (chunks(b"0x5\r\nhello\r\n0\r\n\r\n"), "400, closed"),
    "a chunk longer than its size": (chunks(b"5\r\nhello you\r\n0\r\n\r\n", HIDDEN), "400, closed"),
    "chunks whose lines end with a bare LF": (
        chunks(CHUNK.replace(b"\r\n", b"\n")),
        "400, closed",
    ),
    "a chunk with an extension": (chunks(CHUNK.replace(b"\r\n", b";a=b\r\n", 1)), "200"),
    "a chunk's extension of 100 kB": (chunks(b"1;", b"a" * 100_000), "400, closed"),
    "9,000 chunks of a byte": (chunks(b"1\r\n \r\n" * 9_000, b"0\r\n\r\n"), "400, closed"),
    "a trailer": (chunks(CHUNK[:-2], b"X: y\r\n\r\n"), "200"),
    "20,000 trailers": (chunks(b"1\r\n{\r\n0\r\n", b"x: y\r\n" * 20_000), "400, closed"),
    "a Content-Length of 10 GB": (head(length(10**10)) + b" " * 2_000_000, "400, closed"),
    "chunks without end": (
        chunks((b"10000\r\n" + b" " * 65_536 + b"\r\n") * 40),
        "400, closed",
    ),
    "a header of 15 KiB": (put("a1", "X: " + "y" * 15_000), "200"),
    "a header of 17 KiB": (put("a1", "X: " + "y" * 17_000), "400, closed"),
    "a header of 1 MB": (put("a1", "X: " + "y" * 1_000_000), "400, closed"),
    "a header's name of 1 MB": (put("a1", "X" * 1_000_000 + ": y"), "400, closed"),
    "a path of 1 MB": (path("/" + "a" * 1_000_000), "400, closed"),
    "90 headers": (put("a1", *["X: y"] * 90), "200"),
    "200 headers": (put("a1", *["X: y"] * 200), "400, closed"),
    "100,000 headers": (put("a1", *["X: y"] * 100_000), "400, closed"),
    "HTTP/1.0": (put("a1", version="1.0"), "200, closed"),
    "HTTP/1.0 with keep-alive": (
        put("a1", "Connection: keep-alive", version="1.0"),
        "200, closed",
    ),
    "HTTP/0.9": (b"GET /health\r\n\r\n", "200, closed"),
    "HTTP/9.9": (put("a1", version="9.9"), "400, closed"),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400, closed"),
    "the beginning of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400, closed"),
    "bytes that are no HTTP": (b"\xff" * 100, "400, closed"),
    "three requests at once": (put("p1") + put("p2", body=b"{}") + put("p3"), "200 400 200"),
    "a request after one that says close": (put("a1", "Connection: close") + HIDDEN, "200, closed"),
    "nonsense after a request": (put("a1") + b"NONSENSE\r\n\r\n" + HIDDEN, "200 400, closed"),
    "a broken body after a request": (put("a1") + chunks(b"zz\r\n", HIDDEN), "200 400, closed"),
    "Expect: 100-continue": (put("a1", "Expect: 100-continue"), "100 200"),
    "another expectation": (put("a1", "Expect: nonsense"), "200"),
    "an offer of HTTP/2": (
        put("a1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c") + put("p4"),
        "200 200",
    ),
    "an offer of WebSocket": (
        head("Connection: Upgrade", "Upgrade: websocket", start="GET /health"),
        "200",
    ),
    "CONNECT": (head(start="CONNECT x:80") + HIDDEN, "400, closed"),
    "`/%6cocation`": (path("/%6cocation"), "200"),
    "`/location%00`": (path("/location%00"), "404"),
    "`/..%2flocation`": (path("/..%2flocation"), "404"),
    "`/../location`": (path("/../location"), "404"),
    "`//location`": (path("//location"), "404"),
    "`/location/`": (path("/location/"), "404"),
    "`http://x/location`": (path("http://x/location"), "200"),
    "`*`": (path("*"), "404"),
    "`location`": (path("location"), "400, closed"),
    "`/location?a=b`": (path("/location?a=b"), "200"),
    "`/location%`": (path("/location%"), "404"),
    "`/%ff`": (path("/%ff"), "404"),
    "`/%0d%0aX:%20y`": (path("/%0d%0aX:%20y"), "404"),
    "a path that is not ASCII": (path("/ä"), "400, closed"),
    "`/docs/`": (path("/docs/"), "404"),
    "PUT of `/docs`": (path("/docs"), "405"),
    "a method that does not exist": (head(start="BREW /location"), "400, closed"),
    "a method in small letters": (head(start="put /location"), "400, closed"),
    "TRACE": (head(start="TRACE /location"), "405"),
    "OPTIONS": (head(start="OPTIONS /location"), "405"),
}


@pytest.fixture(scope="module")
def serving(mongodb_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serve(mongodb_uri, tmp_path_factory.mktemp("serve"), workers=1) as serving:
        yield serving


@pytest.fixture
def stored(serving: Serving, mongodb_uri: str) -> Iterator[Database[Document]]:
    with pymongo.MongoClient[Document](mongodb_uri) as client:
        database = client[serving.database]
        database[FIXES].delete_many({})
        yield database


def outcome(serving: Serving, sent: bytes, expected: str) -> tuple[str, list[Answer]]:
    """Send, and return what comes in the words of the table."""
    open_at_the_end = not expected.endswith("closed")
    with connect(serving.port) as connection:
        connection.sendall(sent)
        count = len(expected.split()) if open_at_the_end else None
        received = answers(receive(connection, count))
        if open_at_the_end:
            connection.sendall(HEALTH)
            (healthy,) = answers(receive(connection, 1))
            assert healthy.status == 200
    text = " ".join(str(answer.status) for answer in received) or "nothing"
    return text + ("" if open_at_the_end else ", closed"), received


@pytest.mark.parametrize("name", CASES)
def test_odd_http_is_answered_as_the_table_says_and_smuggles_nothing(
    serving: Serving, stored: Database[Document], name: str
) -> None:
    sent, expected = CASES[name]
    workers = serving.workers()
    found, received = outcome(serving, sent, expected)
    assert found == expected
    for answer in received:
        assert "server" not in answer.headers
        assert "x" not in answer.headers  # as a header injected by a path would be
        if answer.status != 100:
            assert answer.headers["content-type"] == "application/json"
            assert ("error" in json.loads(answer.body)) == (answer.status != 200)
    accepted = sum(b'"stored"' in answer.body for answer in received)
    assert stored[FIXES].count_documents({}) == accepted
    assert stored[FIXES].count_documents({"user_id": "hidden"}) == 0
    assert serving.workers() == workers


def test_the_table_in_the_manual_is_the_table_of_the_tests() -> None:
    page = Path(ROOT / "docs" / "HTTP.md").read_text()
    rows = re.findall(r"^\| (.+?) \| ([0-9 ]+(?:, closed)?) \|$", page, re.MULTILINE)
    assert rows == [(name, expected) for name, (_, expected) in CASES.items()]


def test_requests_sent_at_once_are_answered_in_their_order(serving: Serving) -> None:
    with connect(serving.port) as connection:
        connection.sendall(b"".join(put(f"o{number}", body=b"{}") + HEALTH for number in range(15)))
        received = answers(receive(connection, 30))
    assert [answer.status for answer in received] == [400, 200] * 15


def test_requests_too_many_at_once_are_put_off_and_not_refused_for_ever(serving: Serving) -> None:
    with connect(serving.port) as connection:
        connection.sendall(b"".join(put(f"m{number}") for number in range(200)))
        *first, last = answers(receive(connection))
    assert [answer.status for answer in first] == [200] * 33
    assert (last.status, last.code, last.headers["retry-after"]) == (500, "overloaded", "2")


def test_a_client_that_ends_its_sending_is_answered(serving: Serving) -> None:
    with connect(serving.port) as connection:
        connection.sendall(put("ending"))
        connection.shutdown(1)
        (answer,) = answers(receive(connection))
    assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_a_client_that_leaves_amid_its_requests_is_no_error(serving: Serving) -> None:
    for _ in range(20):
        with connect(serving.port) as connection:
            connection.sendall(put("leaving") * 10)
    with connect(serving.port) as connection:
        connection.sendall(HEALTH)
        assert answers(receive(connection, 1))[0].status == 200
    assert "Traceback" not in serving.log.read_text()


def test_head_has_no_body(serving: Serving) -> None:
    with connect(serving.port) as connection:
        connection.sendall(head(start="HEAD /health"))
        found = receive(connection, until=b"\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 200 ")
        assert found.endswith(b"\r\n\r\n")
        connection.sendall(HEALTH)
        assert answers(receive(connection, 1))[0].status == 200

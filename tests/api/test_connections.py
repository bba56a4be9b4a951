"""Responses to malformed and malicious HTTP, sent by raw sockets."""

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pymongo
import pytest
from pymongo.database import Database

from locapi.storage.documents import FIXES, Document
from tests.conftest import ROOT, a_fix
from tests.support.raw import (
    HEALTH,
    Answer,
    answers,
    connect,
    head,
    put,
    receive,
)
from tests.support.serving import Serving, serve

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
    "Content-Length and Transfer-Encoding: chunked": (
        head(length(4), CHUNKED) + CHUNK + HIDDEN,
        "200, closed",
    ),
    "Transfer-Encoding: chunked and Content-Length": (
        chunks(CHUNK, HIDDEN, more=(length(4),)),
        "200, closed",
    ),
    "two different Content-Length headers": (
        head(length(SIZE), length(5)) + FIX,
        "400 empty, closed",
    ),
    "two equal Content-Length headers": (head(length(SIZE), length(SIZE)) + FIX, "200"),
    "a list as Content-Length": (head(length(f"{SIZE}, {SIZE}")) + FIX, "400 empty, closed"),
    "a negative Content-Length": (head(length(-1)) + FIX, "400 empty, closed"),
    "a Content-Length with a plus sign": (head(length(f"+{SIZE}")) + FIX, "400 empty, closed"),
    "a hexadecimal Content-Length": (head(length("0x20")) + FIX, "400 empty, closed"),
    "a Content-Length of 30 digits": (head(length("9" * 30)) + FIX, "400 empty, closed"),
    "an empty Content-Length": (head(length("")) + FIX, "400 empty, closed"),
    "a space before the colon of a header": (
        head(f"Content-Length : {SIZE}") + FIX,
        "400 empty, closed",
    ),
    "Transfer-Encoding: chunked, twice": (chunks(CHUNK, HIDDEN, more=(CHUNKED,)), "400, closed"),
    "Transfer-Encoding: chunked, then identity": (
        chunks(CHUNK, HIDDEN, more=("Transfer-Encoding: identity",)),
        "400 empty, closed",
    ),
    "an unknown transfer coding": (
        head("Transfer-Encoding: xchunked") + CHUNK + HIDDEN,
        "400 empty, closed",
    ),
    "a transfer coding after chunked": (
        head("Transfer-Encoding: chunked, gzip") + CHUNK + HIDDEN,
        "400 empty, closed",
    ),
    "a vertical tab before chunked": (
        head("Transfer-Encoding: \x0bchunked") + CHUNK + HIDDEN,
        "400 empty, closed",
    ),
    "chunked on a continuation line": (
        head("Transfer-Encoding:\r\n chunked") + CHUNK + HIDDEN,
        "400 empty, closed",
    ),
    "Transfer-Encoding: CHUNKED": (head("Transfer-Encoding: CHUNKED") + CHUNK, "200"),
    "chunked with HTTP/1.0": (
        head(CHUNKED, version="1.0") + CHUNK + HIDDEN,
        "400 empty, closed",
    ),
    "header lines that end with LF only": (
        head(length(SIZE)).replace(b"\r\n", b"\n") + FIX,
        "200",
    ),
    "LF only between two headers": (head("X: a\nY: b", length(SIZE)) + FIX, "200"),
    "a CR in a header's value": (head("X: a\rb", length(SIZE)) + FIX, "400 empty, closed"),
    "a NUL in a header's value": (head("X: a\0b", length(SIZE)) + FIX, "400 empty, closed"),
    "a header on two lines": (head("X: a\r\n b", length(SIZE)) + FIX, "400 empty, closed"),
    "a space in a header's name": (head("X Y: a", length(SIZE)) + FIX, "400 empty, closed"),
    "a header's value that is not ASCII": (head("X: ä", length(SIZE)) + FIX, "200"),
    "an X-Limit-U that is not ASCII": (head("X-Limit-U: ä", start="POST /owntracks"), "400"),
    "a header without a colon": (head("X", length(SIZE)) + FIX, "400 empty, closed"),
    "no Host header": (
        b"PUT /location HTTP/1.1\r\n%b\r\n\r\n%b" % (length(SIZE).encode(), FIX),
        "200",
    ),
    "two Host headers": (head("Host: y", length(SIZE)) + FIX, "421"),
    "a negative chunk size": (chunks(b"-1\r\n", FIX), "400, closed"),
    "a chunk size over 64 bits": (chunks(b"f" * 17, b"\r\n", FIX), "400, closed"),
    "a chunk size with 0x": (chunks(b"0x5\r\nhello\r\n0\r\n\r\n"), "400, closed"),
    "a chunk longer than its size": (chunks(b"5\r\nhello you\r\n0\r\n\r\n", HIDDEN), "400, closed"),
    "chunks with LF only at the ends of lines": (
        chunks(CHUNK.replace(b"\r\n", b"\n")),
        "400, closed",
    ),
    "a chunk extension": (chunks(CHUNK.replace(b"\r\n", b";a=b\r\n", 1)), "200"),
    "a chunk extension of 100 kB": (chunks(b"1;", b"a" * 100_000), "400, closed"),
    "9,000 chunks of one byte": (chunks(b"1\r\n \r\n" * 9_000, b"0\r\n\r\n"), "400"),
    "a trailer field": (chunks(CHUNK[:-2], b"X: y\r\n\r\n"), "400, closed"),
    "20,000 trailer fields": (chunks(b"1\r\n{\r\n0\r\n", b"x: y\r\n" * 20_000), "400, closed"),
    "a Content-Length of 10 GB": (head(length(10**10)) + b" " * 2_000_000, "400, closed"),
    "an endless chunked body": (
        chunks((b"10000\r\n" + b" " * 65_536 + b"\r\n") * 40),
        "400, closed",
    ),
    "a header of 15 KiB": (put("a1", "X: " + "y" * 15_000), "200"),
    "a header of 17 KiB": (put("a1", "X: " + "y" * 17_000), "431 empty, closed"),
    "a header of 1 MB": (put("a1", "X: " + "y" * 1_000_000), "431 empty, closed"),
    "a header name of 1 MB": (put("a1", "X" * 1_000_000 + ": y"), "431 empty, closed"),
    "a path of 1 MB": (path("/" + "a" * 1_000_000), "431 empty, closed"),
    "90 headers": (put("a1", *["X: y"] * 90), "200"),
    "200 headers": (put("a1", *["X: y"] * 200), "431 empty, closed"),
    "100,000 headers": (put("a1", *["X: y"] * 100_000), "431 empty, closed"),
    "HTTP/1.0": (put("a1", version="1.0"), "200, closed"),
    "HTTP/1.0 with keep-alive": (
        put("a1", "Connection: keep-alive", version="1.0"),
        "200",
    ),
    "HTTP/0.9": (b"GET /health\r\n\r\n", "400 empty, closed"),
    "HTTP/9.9": (put("a1", version="9.9"), "400 empty, closed"),
    "the connection preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "nothing, closed"),
    "the first bytes of a TLS connection": (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "400 empty, closed",
    ),
    "bytes that are not HTTP": (b"\xff" * 100, "400 empty, closed"),
    "three pipelined requests, the second with an invalid fix": (
        put("p1") + put("p2", body=b"{}") + put("p3"),
        "200 400 200",
    ),
    "a request after one with Connection: close": (
        put("a1", "Connection: close") + HIDDEN,
        "200, closed",
    ),
    "malformed HTTP after a request": (
        put("a1") + b"NONSENSE\r\n\r\n" + HIDDEN,
        "200 400 empty, closed",
    ),
    "a request, then one with a malformed chunked body": (
        put("a1") + chunks(b"zz\r\n", HIDDEN),
        "200 400, closed",
    ),
    "Expect: 100-continue": (put("a1", "Expect: 100-continue"), "100 200"),
    "Expect: nonsense": (put("a1", "Expect: nonsense"), "200"),
    "Upgrade: h2c, then another request": (
        put("a1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c") + put("p4"),
        "200 200",
    ),
    "Upgrade: websocket": (
        head("Connection: Upgrade", "Upgrade: websocket", start="GET /health"),
        "200",
    ),
    "CONNECT, then another request": (head(start="CONNECT x:80") + put("p5"), "404 200"),
    "`/%6cocation`": (path("/%6cocation"), "200"),
    "`/location%00`": (path("/location%00"), "404"),
    "`/..%2flocation`": (path("/..%2flocation"), "404"),
    "`/../location`": (path("/../location"), "404"),
    "`//location`": (path("//location"), "404"),
    "`/location/`": (path("/location/"), "404"),
    "`http://x/location`": (path("http://x/location"), "200"),
    "`*`": (path("*"), "404"),
    "`location`": (path("location"), "404"),
    "GET of `location`": (head(start="GET location"), "404"),
    "`http://x`, which means `/`": (path("http://x"), "405"),
    "`/location?a=b`": (path("/location?a=b"), "200"),
    "`/minutes?ä`": (head(start="GET /minutes?ä"), "400"),
    "`/location%`": (path("/location%"), "404"),
    "`/%ff`": (path("/%ff"), "404"),
    "`/%0d%0aX:%20y`": (path("/%0d%0aX:%20y"), "404"),
    "a path with a character that is not ASCII": (path("/ä"), "404"),
    "`/docs/`": (path("/docs/"), "404"),
    "PUT of `/docs`": (path("/docs"), "405"),
    "an unknown method": (head(start="BREW /location"), "405"),
    "a method in lower case": (head(length(SIZE), start="put /location") + FIX, "200"),
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
    """Send; return the result in the words of the table, and the responses."""
    open_at_the_end = "closed" not in expected
    with connect(serving.port) as connection:
        with suppress(ConnectionError):  # where the response comes before all is sent
            connection.sendall(sent)
        count = len(re.findall(r"\d+", expected)) if open_at_the_end else None
        received = answers(receive(connection, count))
        if open_at_the_end:
            connection.sendall(HEALTH)
            (healthy,) = answers(receive(connection, 1))
            assert healthy.status == 200
    text = " ".join(words(answer) for answer in received) or "nothing"
    return text + ("" if open_at_the_end else ", closed"), received


def words(answer: Answer) -> str:
    is_empty = answer.status >= 400 and not answer.body
    return f"{answer.status} empty" if is_empty else str(answer.status)


@pytest.mark.parametrize("name", CASES)
def test_malformed_http_gets_the_documented_response_and_smuggles_nothing(
    serving: Serving, stored: Database[Document], name: str
) -> None:
    sent, expected = CASES[name]
    workers = serving.workers()
    found, received = outcome(serving, sent, expected)
    assert found == expected
    for answer in received:
        assert "x" not in answer.headers  # as a header injected by a path would be
        if answer.body:
            assert answer.headers["content-type"] == "application/json"
            assert ("error" in json.loads(answer.body)) == (answer.status != 200)
    accepted = sum(b'"stored"' in answer.body for answer in received)
    assert stored[FIXES].count_documents({}) == accepted
    assert stored[FIXES].count_documents({"user_id": "hidden"}) == 0
    assert serving.workers() == workers


def test_manual_has_the_table_of_the_tests() -> None:
    page = Path(ROOT / "docs" / "HTTP.md").read_text().partition("## Results")[2]
    rows = re.findall(
        r"^\| (.+?) \| ((?:[0-9]|nothing)[a-z0-9 ]*(?:, closed)?) \|$", page, re.MULTILINE
    )
    assert rows == [(name, expected) for name, (_, expected) in CASES.items()]


def test_pipelined_requests_are_answered_in_their_order(serving: Serving) -> None:
    with connect(serving.port) as connection:
        connection.sendall(b"".join(put(f"o{number}", body=b"{}") + HEALTH for number in range(99)))
        received = answers(receive(connection, 198))
    assert [answer.status for answer in received] == [400, 200] * 99


def test_response_is_not_held_back_until_the_client_acknowledges(serving: Serving) -> None:
    """As without TCP_NODELAY: the second of two small responses would wait some 40 ms."""
    with connect(serving.port) as connection:
        times = []
        for _ in range(60):
            start = time.monotonic()
            connection.sendall(HEALTH + HEALTH)
            receive(connection, 2)
            times.append(time.monotonic() - start)
    assert min(times[20:]) < 0.03


def test_client_that_stops_sending_gets_no_response_and_may_send_again(serving: Serving) -> None:
    with connect(serving.port) as connection:
        connection.sendall(put("ending"))
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection) == b""
    with connect(serving.port) as connection:
        connection.sendall(put("ending"))
        assert answers(receive(connection, 1))[0].status == 200


def test_client_that_leaves_amid_its_requests_is_no_error(serving: Serving) -> None:
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

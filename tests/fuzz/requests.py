"""Generate requests for a socket: nearly correct HTTP, some of it damaged."""

from random import Random

from tests.fuzz.bodies import Bodies

_METHODS = [b"PUT"] * 30 + [b"GET", b"HEAD", b"POST", b"OPTIONS", b"CONNECT", b"TRACE", b"PRI",
    b"put", b"P\xffT", b""]  # fmt: skip
_PATHS = [b"/location"] * 40 + [
    b"/health", b"/livez", b"/readyz", b"/openapi.json", b"/docs", b"/docs/docs.js", b"/metrics",
    b"*", b"/", b"//location", b"/location?a=%ff", b"/%00", b"/%ff%fe",
    b"/\xff", b"http://x/location", b"x:443", b"/" + b"a" * 9000, b"/..%2f..", b"/location#x",
    b"", b"/a b",
]  # fmt: skip
_VERSIONS = [b"HTTP/1.1"] * 25 + [
    b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/0.9", b"HTTQ/1.1", b"",
]  # fmt: skip
_HEADERS = [
    b"Host: x", b"Host:", b"Host: \xff", b"Connection: close",
    b"Connection: upgrade\r\nUpgrade: websocket",
    b"Connection: upgrade\r\nUpgrade: h2c", b"Expect: 100-continue", b"Content-Type: \xff/\x01",
    b"Content-Length: -1", b"Content-Length: 1", b"Content-Length: 99999999999999999999",
    b"Content-Length: 5, 5",
    b"Content-Length: 0x10", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: \tchunked", b"Content-Encoding: gzip", b"Authorization: Bearer \xff",
    b"Cookie: a=b; =;;",
    b"X-Request-ID: " + b"x" * 5000, b"X: " + b"y" * 70_000, b": empty", b"A" * 300 + b": 1",
    b"X_Y: 1", b" folded",
    b"Range: bytes=0-", b"Accept: */*;q=\xff", b"X-Forwarded-For: ::1", b"Content-Length:",
    b"\x00: 1",
]  # fmt: skip


class Requests:
    """An endless source of what a client might send on one connection."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._bodies = Bodies(rng)

    def request(self) -> bytes:
        """Return the next one: usually one request, sometimes noise or several."""
        rng = self._rng
        if rng.random() < 0.05:
            return rng.randbytes(rng.choice((0, 1, 20, 5_000)))
        sent = b"".join(self._one() for _ in range(rng.choice((1, 1, 1, 1, 3))))
        return self._bodies.damaged(sent) if rng.random() < 0.3 else sent

    def _one(self) -> bytes:
        rng = self._rng
        body = self._bodies.body()
        headers = rng.sample(_HEADERS, rng.choice((0, 0, 0, 1, 1, 2, 4)))
        if rng.random() < 0.15:
            headers.append(b"Transfer-Encoding: chunked")
            size = rng.choice(
                (b"%x" % len(body), b"fffffffffffffffff", b"-1", b"%x;a=b" % len(body))
            )
            body = size + b"\r\n" + body + b"\r\n0\r\n\r\n"
        elif rng.random() < 0.85:
            headers.append(b"Content-Length: %d" % (len(body) + rng.choice((0,) * 9 + (-1, 1))))
        first = b" ".join((rng.choice(_METHODS), rng.choice(_PATHS), rng.choice(_VERSIONS)))
        return b"\r\n".join((first, *headers, b"", body))

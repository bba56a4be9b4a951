"""A stand-in for the API, whose answers the test chooses."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STORED = (200, {"status": "stored"})

Reply = tuple[int, object]


class StandIn(ThreadingHTTPServer):
    """A server that records requests and calls `answer`; None drops the connection."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Callable[[bytes], Reply | None] = lambda body: STORED
        self.headers: dict[str, str] = {}
        self.bodies: list[bytes] = []
        self.ports: set[int] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet an answer
    server: StandIn

    def do_GET(self) -> None:
        self.reply((200, {}))

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path.endswith("/location")
        self.server.bodies.append(body)
        self.server.ports.add(self.client_address[1])
        self.reply(self.server.answer(body))

    def reply(self, reply: Reply | None) -> None:
        if reply is None:
            self.close_connection = True
            return
        content = json.dumps(reply[1]).encode()
        self.send_response(reply[0])
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass

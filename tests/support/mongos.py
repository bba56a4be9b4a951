"""A stand-in for a sharded cluster's router, in front of one real mongod with all data.

It describes itself as a router does, records each command, and carries out what only a router
can: sharding a collection by a key, by the rules of the manual. A real router also routes
commands; `tests/support/targeting.py` calculates to which shards.
"""

import socket
import socketserver
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import bson
from pymongo import MongoClient

from tests.conftest import free_port
from tests.support.processes import Mongod, listens, until

Document = dict[str, Any]

_HEADER = struct.Struct("<iiii")  # length, id, id of what is answered, kind
_REPLY, _QUERY, _MESSAGE = 1, 2004, 2013
_REPLY_HEAD = 20  # flags, cursor, start, count
_OF_A_MEMBER = {  # in the response of a replica set's member to hello, not in a router's
    *("setName", "setVersion", "secondary", "hosts", "primary", "me", "electionId"),
    *("lastWrite", "topologyVersion", "tags"),
}
_REFUSED = {"ok": 0, "code": 72, "codeName": "InvalidOptions"}


class Mongos(socketserver.ThreadingTCPServer):
    """A server on a loopback port that gives each client a connection to the mongod."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, mongod_port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Client)
        self.mongod_port = mongod_port
        self.uri = f"mongodb://127.0.0.1:{self.server_address[1]}/"
        self.commands: list[Document] = []
        self._direct: MongoClient[Document] = MongoClient(
            "127.0.0.1", mongod_port, directConnection=True
        )

    def server_close(self) -> None:
        super().server_close()
        self._direct.close()

    def shard(self, command: Document) -> Document:
        """Record the shard key of a collection, or refuse it as a router would."""
        name, key = command["shardCollection"], command["key"]
        database, _, collection = name.partition(".")
        noted = self._direct["config"]["collections"].find_one({"_id": name})
        if noted and noted["key"] != key:
            return {**_REFUSED, "errmsg": "it is sharded by another key"}
        indexes = list(self._direct[database][collection].list_indexes())
        fits = [list(index["key"].items())[: len(key)] == list(key.items()) for index in indexes]
        if not any(fits):
            return {**_REFUSED, "errmsg": "no index begins with the shard key"}
        unique = [index.get("unique", False) for index in indexes]
        if any(one and not fit for one, fit in zip(unique, fits, strict=True)):
            return {**_REFUSED, "errmsg": "a unique index does not begin with the shard key"}
        self._direct["config"]["collections"].update_one(
            {"_id": name}, {"$set": {"key": key, "unique": False}}, upsert=True
        )
        return {"ok": 1, "collectionsharded": name}


class _Client(socketserver.BaseRequestHandler):
    server: Mongos

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.mongod_port)) as mongod:
            with suppress(ConnectionError):
                while True:
                    self._pass_on(mongod)

    def _pass_on(self, mongod: socket.socket) -> None:
        message = _receive(self.request)
        command = _command(message)
        name = next(iter(command))
        if name == "shardCollection":
            self.server.commands.append(command)
            self.request.sendall(_answer(message, self.server.shard(command)))
            return
        mongod.sendall(message)
        reply = _receive(mongod)
        if name in ("hello", "ismaster", "isMaster"):
            reply = _as_router(message, reply)
        else:
            self.server.commands.append(command)
        self.request.sendall(reply)


def _receive(connection: socket.socket) -> bytes:
    head = _exactly(connection, _HEADER.size)
    return head + _exactly(connection, _HEADER.unpack(head)[0] - _HEADER.size)


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        more = connection.recv(count - len(received))
        if not more:
            raise ConnectionError
        received += more
    return received


def _command(message: bytes) -> Document:
    """Return the command of a request, with the documents of its other sections."""
    if _HEADER.unpack_from(message)[3] == _QUERY:
        after_name = message.index(b"\0", _HEADER.size + 4) + 1
        return _first(message[after_name + 8 :])
    place, command, beside = _HEADER.size + 4, {}, {}
    while place < len(message):
        kind = message[place]
        (size,) = struct.unpack_from("<i", message, place + 1)
        section = message[place + 1 : place + 1 + size]
        if kind == 0:
            command = bson.decode(section)
        else:
            name, _, documents = section[4:].partition(b"\0")
            beside[name.decode()] = bson.decode_all(documents)
        place += 1 + size
    return {**command, **beside}


def _first(documents: bytes) -> Document:
    (size,) = struct.unpack_from("<i", documents)
    return bson.decode(documents[:size])


def _as_router(request: bytes, reply: bytes) -> bytes:
    old = _HEADER.unpack_from(reply)[3] == _REPLY
    hello = _first(reply[_HEADER.size + (_REPLY_HEAD if old else 5) :])
    visible = {name: value for name, value in hello.items() if name not in _OF_A_MEMBER}
    return _answer(request, {**visible, "msg": "isdbgrid"})


def _answer(request: bytes, document: Document) -> bytes:
    _, request_id, _, kind = _HEADER.unpack_from(request)
    if kind == _QUERY:
        kind, body = _REPLY, struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(document)
    else:
        body = struct.pack("<IB", 0, 0) + bson.encode(document)
    return _HEADER.pack(_HEADER.size + len(body), 0, request_id, kind) + body


@contextmanager
def router(directory: Path) -> Iterator[Mongos]:
    """Run the stand-in in front of a mongod that is a replica set of one."""
    mongod = Mongod(directory, free_port(), "--replSet=shard0", name="shard0")
    mongod.start()
    try:
        until(lambda: listens(mongod.port), "the start")
        member = {"_id": 0, "host": f"127.0.0.1:{mongod.port}"}
        with MongoClient[Document]("127.0.0.1", mongod.port, directConnection=True) as client:
            client.admin.command("replSetInitiate", {"_id": "shard0", "members": [member]})
            until(lambda: bool(client.admin.command("hello")["isWritablePrimary"]), "a primary")
        with Mongos(mongod.port) as mongos:
            Thread(target=mongos.serve_forever, daemon=True).start()
            try:
                yield mongos
            finally:
                mongos.shutdown()
    finally:
        mongod.end()

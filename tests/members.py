"""Three real mongods that make one replica set, and what can be asked of it while some are away."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pymongo
from pymongo import MongoClient, WriteConcern
from pymongo.errors import PyMongoError

from tests.conftest import free_port
from tests.faults.processes import DEADLINE_S, Mongod, listens, until

MEMBERS = range(3)
# A fifth of the defaults, both: a member that hears every 2 s and waits 2 s votes for nothing.
ELECTION_MS, HEARTBEAT_MS = 2_000, 400
# What a member waits beyond its order for a source that has fallen silent; 5 s by default.
SILENT_S = 1
HELLO_S = 0.3


class Members:
    """The mongods of a replica set; each is known by a port, its own unless `known_by` is set."""

    def __init__(self, directory: Path) -> None:
        self.mongods = [
            Mongod(
                directory,
                free_port(),
                "--replSet=locapi",
                f"--setParameter=oplogNetworkTimeoutBufferSeconds={SILENT_S}",
                # Or each goes on for 15 s when it is asked to end, for clients that are gone here.
                "--setParameter=shutdownTimeoutMillisForSignaledShutdown=0",
                name=f"mongod{number}",
            )
            for number in MEMBERS
        ]
        self.known_by = [mongod.port for mongod in self.mongods]
        self._direct: list[MongoClient[dict[str, Any]]] = []

    @property
    def uri(self) -> str:
        """Return where the set is."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.known_by)
        return f"mongodb://{hosts}/?replicaSet=locapi"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all and make them a set; end all."""
        with ExitStack() as started:
            for mongod in self.mongods:
                started.callback(mongod.discard)
                mongod.start()
            until(lambda: all(listens(mongod.port) for mongod in self.mongods), "the start")
            for mongod in self.mongods:
                # Past what may be cut off, so that it is seen as well.
                client = MongoClient[dict[str, Any]](
                    "127.0.0.1", mongod.port, directConnection=True
                )
                self._direct.append(started.enter_context(client))
            self._initiate()
            yield

    def _initiate(self) -> None:
        members = [
            {"_id": number, "host": f"127.0.0.1:{port}"}
            for number, port in enumerate(self.known_by)
        ]
        settings = {
            "electionTimeoutMillis": ELECTION_MS,
            "heartbeatIntervalMillis": HEARTBEAT_MS,
        }
        config = {"_id": "locapi", "members": members, "settings": settings}
        self._direct[0].admin.command("replSetInitiate", config)
        until(self.whole, "three members, one of them primary")

    def primaries(self, *, but: int | None = None) -> list[int]:
        """Return which members take themselves for the primary, leaving out one."""
        others = [number for number in MEMBERS if number != but]
        return [number for number in others if self._hello(number).get("isWritablePrimary")]

    def whole(self) -> bool:
        """Tell whether all members agree which of them is the primary."""
        hellos = [self._hello(number) for number in MEMBERS]
        primaries = [hello["me"] for hello in hellos if hello.get("isWritablePrimary")]
        return len(primaries) == 1 and all(
            hello.get("primary") == primaries[0]
            and (hello["isWritablePrimary"] or hello["secondary"])
            for hello in hellos
        )

    def commit(self, primary: int) -> None:
        """Return once a majority has a write that this member took."""
        safe = WriteConcern(w="majority", j=True)
        with pymongo.timeout(DEADLINE_S):
            control = self._direct[primary].control.get_collection("writes", write_concern=safe)
            control.insert_one({})

    def _hello(self, number: int) -> dict[str, Any]:
        with suppress(PyMongoError), pymongo.timeout(HELLO_S):  # it may be killed or paused
            return self._direct[number].admin.command("hello")
        return {}

    def kill(self, number: int) -> None:
        """End a member without a word."""
        self.mongods[number].kill()

    def step_down(self, primary: int) -> None:
        """Let another member become the primary."""
        command = {"replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5}
        self._direct[primary].admin.command(command)

    def fail_over(self) -> None:
        """Let another member become the primary, as soon as one has caught up."""

        def stepped_down() -> bool:
            with suppress(PyMongoError, ValueError):  # ValueError: there is none, or there are two
                [primary] = self.primaries()
                self.step_down(primary)
                return True
            return False

        until(stepped_down, "a primary steps down")

    def pause(self, number: int) -> None:
        """Let a member fall silent."""
        os.kill(self.mongods[number].pid, signal.SIGSTOP)

    def bring_back(self, number: int) -> None:
        """Start a member that was killed, or let one go on that was paused."""
        if self.mongods[number].ended():
            self.mongods[number].start()
        else:
            os.kill(self.mongods[number].pid, signal.SIGCONT)

"""A replica set of three real mongods, whose members can be killed, paused and stepped down."""

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
from tests.support.processes import Mongod, listens, until

MEMBERS = range(3)
# A fifth of the defaults, both: with a heartbeat of 2 s, a timeout of 2 s would start elections.
ELECTION_MS, HEARTBEAT_MS = 2_000, 400
# How much longer than its request a member waits for a silent sync source; 5 s by default.
SILENT_S = 1
HELLO_S = 0.3
# A secondary waits up to 30 s for a silent member that it wants to copy from, and may choose it
# again.
MAJORITY_S = 180


class Members:
    """The members of a replica set; clients reach them by the ports in `known_by`."""

    def __init__(self, directory: Path) -> None:
        self.mongods = [
            Mongod(
                directory,
                free_port(),
                "--replSet=locapi",
                f"--setParameter=oplogNetworkTimeoutBufferSeconds={SILENT_S}",
                # By default a member goes on for 15 s after SIGTERM.
                "--setParameter=shutdownTimeoutMillisForSignaledShutdown=0",
                name=f"mongod{number}",
            )
            for number in MEMBERS
        ]
        self.known_by = [mongod.port for mongod in self.mongods]
        self._direct: list[MongoClient[dict[str, Any]]] = []

    @property
    def uri(self) -> str:
        """Return the URI of the set."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.known_by)
        return f"mongodb://{hosts}/?replicaSet=locapi"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all members, initiate the set, and stop them afterwards."""
        with ExitStack() as started:
            for mongod in self.mongods:
                started.callback(mongod.discard)
                mongod.start()
            until(lambda: all(listens(mongod.port) for mongod in self.mongods), "the start")
            for mongod in self.mongods:
                # Not by `known_by`, so that a member that is cut off is reached too.
                client = MongoClient[dict[str, Any]](
                    "127.0.0.1", mongod.port, directConnection=True
                )
                self._direct.append(started.enter_context(client))
            self._initiate()
            yield

    def _initiate(self) -> None:
        members = [
            {"_id": number, "host": f"127.0.0.1:{port}", "tags": {"member": str(number)}}
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
        """Return the members that consider themselves primary, except one."""
        others = [number for number in MEMBERS if number != but]
        return [number for number in others if self._hello(number).get("isWritablePrimary")]

    def whole(self) -> bool:
        """Return whether all members run and agree on the primary."""
        hellos = [self._hello(number) for number in MEMBERS]
        primaries = [hello["me"] for hello in hellos if hello.get("isWritablePrimary")]
        return len(primaries) == 1 and all(
            hello.get("primary") == primaries[0]
            and (hello["isWritablePrimary"] or hello["secondary"])
            for hello in hellos
        )

    def commit(self, primary: int) -> None:
        """Wait until a majority has a write to this member."""
        safe = WriteConcern(w="majority", j=True)
        with pymongo.timeout(MAJORITY_S):
            control = self._direct[primary].control.get_collection("writes", write_concern=safe)
            control.insert_one({})

    def _hello(self, number: int) -> dict[str, Any]:
        with suppress(PyMongoError), pymongo.timeout(HELLO_S):  # it may be killed or paused
            return self._direct[number].admin.command("hello")
        return {}

    def kill(self, number: int) -> None:
        """Kill a member with SIGKILL."""
        self.mongods[number].kill()

    def step_down(self, primary: int) -> None:
        """Let the primary step down."""
        command = {"replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 5}
        self._direct[primary].admin.command(command)

    def fail_over(self) -> None:
        """Let the primary step down as soon as another member has caught up."""

        def stepped_down() -> bool:
            with suppress(PyMongoError, ValueError):  # ValueError: there is none, or there are two
                [primary] = self.primaries()
                self.step_down(primary)
                return True
            return False

        until(stepped_down, "a primary steps down")

    def pause(self, number: int) -> None:
        """Stop a member with SIGSTOP."""
        os.kill(self.mongods[number].pid, signal.SIGSTOP)

    def bring_back(self, number: int) -> None:
        """Start a killed member, or continue a paused one."""
        if self.mongods[number].ended():
            self.mongods[number].start()
        else:
            os.kill(self.mongods[number].pid, signal.SIGCONT)

"""A warehouse that follows changes while processes are killed."""

import threading
from contextlib import suppress

from locapi.errors import DatabaseUnavailable
from locapi.settings import Settings
from locapi.storage import mongo
from tests.support.follower import Follower
from tests.support.processes import DEADLINE_S

PAUSE_S = 0.2


class Warehouse:
    """Follows the minutes of a database until the end of the block."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._follower = Follower()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.reads = 0

    def __enter__(self) -> "Warehouse":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the warehouse still reads"

    def differences(self) -> list[str]:
        """Follow once more; return a sentence for each row that differs from a full export."""
        with mongo.open_database(Settings(mongodb_uri=self._uri)) as database:
            self._follower.follow(mongo.for_reading(database))
            found = self._follower.differences(database)
        return [f"{row!r} is not in the warehouse as it is stored" for row in found]

    def _run(self) -> None:
        with mongo.open_database(Settings(mongodb_uri=self._uri)) as database:
            while not self._stopped.wait(PAUSE_S):
                with suppress(DatabaseUnavailable):
                    self._follower.follow(mongo.for_reading(database))
                    self.reads += 1

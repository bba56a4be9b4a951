"""What it costs to ask for tokens: PUTs with and without, and the check of one by itself."""

import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from timeit import repeat

from pymongo.database import Database

from benchmarks.harness import ROUNDS, Row, Target, interleave
from benchmarks.ingest import MANY
from benchmarks.load import MOST, STORED, USERS, Load, drive
from benchmarks.serving import LOCCTL_SERVE, Scratch, scratch, serving
from locapi import mongo
from locapi.mongo import TOKENS, Document
from locapi.settings import Settings
from locapi.tokens import Gate, make

CHECKS = 20_000


def measure() -> list[Row]:
    """Return answers a second, of users that are known and of ever new ones, and the check's µs."""
    with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
        mongo.prepare(database)
        usual = _senders(database, home, USERS)
        check_us = _check_us(database, usual)
        with (
            serving(LOCCTL_SERVE, home) as open_to_all,
            serving(LOCCTL_SERVE, home, LOCAPI_AUTH="token") as guarded,
        ):
            loads = interleave(
                {
                    "without": partial(drive, open_to_all.port, STORED, MANY),
                    "with": partial(drive, guarded.port, STORED, MANY, usual),
                    "new": partial(_drive_new, guarded.port, database, home),
                }
            )
    rates = {name: [load.rate for load in samples] for name, samples in loads.items()}
    peer = Row(f"PUT without tokens, {MANY} connections", "a second", rates["without"])
    what = f"PUT with tokens, {MANY} connections"
    return [
        Row(what, "a second", rates["with"], peer, Target(at_least=0.95)),
        peer,
        Row(f"{what}, each token for the first time", "a second", rates["new"], peer),
        Row("check of a token that is remembered", "µs", check_us),
    ]


def _drive_new(port: int, database: Database[Document], home: Scratch) -> Load:
    return drive(port, STORED, MANY, _senders(database, home, MOST))


def _senders(database: Database[Document], home: Scratch, count: int) -> Path:
    """Give as many new users a token each, and return the file that names them."""
    run, now = f"{time.time_ns():x}", datetime.now(UTC)
    made = {f"{run}-{n}": make(f"{run}-{n}", None, now) for n in range(count)}
    database[TOKENS].insert_many([document for _, document in made.values()])
    senders = home.directory / f"{run}.tsv"
    senders.write_text("".join(f"{user_id}\t{token}\n" for user_id, (token, _) in made.items()))
    return senders


def _check_us(database: Database[Document], senders: Path) -> list[float]:
    gate = Gate(database)
    header = f"Bearer {senders.read_text().split()[1]}"
    gate.sender(header)
    seconds = repeat(lambda: gate.sender(header), number=CHECKS, repeat=ROUNDS)
    return [each / CHECKS * 1e6 for each in seconds]

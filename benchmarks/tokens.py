"""Measure the cost of tokens: PUTs with and without them, and a check by itself."""

import time
from datetime import UTC, datetime
from pathlib import Path
from timeit import repeat

from pymongo.database import Database

from benchmarks.harness import ROUNDS, Row, Target, interleave
from benchmarks.ingest import MANY
from benchmarks.load import MOST, STORED, USERS, drive
from benchmarks.serving import LOCCTL_SERVE, Scratch, Server, cpu_s, scratch, serving
from locapi.api.authentication import Authenticator
from locapi.ingest.tokens import make
from locapi.settings import Settings
from locapi.storage import documents, migrate, mongo
from locapi.storage.documents import Document

CHECKS = 20_000


def measure() -> list[Row]:
    """Return answers a second, of users that are known and of ever new ones, and the check's µs."""
    with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
        migrate.prepare(database)
        usual = _senders(database, home, USERS)
        without = home.directory / "without.tsv"  # as many users, who come again as well
        without.write_text("".join(f"without-{n}\t\n" for n in range(USERS)))
        check_us = _check_us(database, usual)
        with (
            serving(LOCCTL_SERVE, home) as open_to_all,
            serving(LOCCTL_SERVE, home, LOCAPI_AUTH="token") as guarded,
        ):
            samples = interleave(
                {
                    "without": lambda: _drive(open_to_all, without),
                    "with": lambda: _drive(guarded, usual),
                    "new": lambda: _drive(guarded, _senders(database, home, MOST)),
                }
            )
    return [*_rows(samples), Row("check of a token that is remembered", "µs", check_us)]


def _rows(samples: dict[str, list[tuple[float, float]]]) -> list[Row]:
    names = {
        "without": f"PUT without tokens, {MANY} connections",
        "with": f"PUT with tokens, {MANY} connections",
        "new": f"PUT with tokens, each for the first time, {MANY} connections",
    }
    rows = []
    # Others on the same cores make the rate swing far more than tokens do, the time of CPU less.
    for place, (unit, target) in enumerate(
        [("a second", Target(at_least=0.95)), ("µs of CPU each", Target(at_most=1.05))]
    ):
        taken = {name: [sample[place] for sample in samples[name]] for name in names}
        peer = Row(names["without"], unit, taken["without"])
        rows += [Row(names["with"], unit, taken["with"], peer, target), peer]
        rows.append(Row(names["new"], unit, taken["new"], peer))
    return rows


def _drive(server: Server, senders: Path) -> tuple[float, float]:
    """Return answers a second, and the CPU time in µs that the workers took for each."""
    before = cpu_s(server.pid)
    load = drive(server.port, STORED, MANY, senders)
    return load.rate, (cpu_s(server.pid) - before) / load.answers * 1e6


def _senders(database: Database[Document], home: Scratch, count: int) -> Path:
    """Give as many new users a token each, and return the file that names them."""
    run, now = f"{time.time_ns():x}", datetime.now(UTC)
    made = {f"{run}-{n}": make(f"{run}-{n}", None, now) for n in range(count)}
    documents.tokens(database).insert_many([document for _, document in made.values()])
    senders = home.directory / f"{run}.tsv"
    senders.write_text("".join(f"{user_id}\t{token}\n" for user_id, (token, _) in made.items()))
    return senders


def _check_us(database: Database[Document], senders: Path) -> list[float]:
    gate = Authenticator(database)
    header = f"Bearer {senders.read_text().split()[1]}"
    gate.user_for(header)
    seconds = repeat(lambda: gate.user_for(header), number=CHECKS, repeat=ROUNDS)
    return [each / CHECKS * 1e6 for each in seconds]

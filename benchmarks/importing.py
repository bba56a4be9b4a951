"""Measure fixes imported a second, and by CPU time, against a bare `insert_many`."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

from pymongo.database import Database

from benchmarks import raw
from benchmarks.harness import Row, Target, interleave
from benchmarks.serving import scratch
from locapi.importers.fields import FIELDS, FieldMapping
from locapi.importers.importer import Importer
from locapi.importers.pipeline import BATCH
from locapi.ingest.store import FixStore
from locapi.settings import Settings
from locapi.storage import migrate, mongo
from locapi.storage.documents import FIXES, Document

USERS = 20
TARGETS = {
    "csv": Target(at_least=0.3),
    "ndjson": Target(at_least=0.3),
    "gpx": Target(at_least=0.25),
    "google": Target(at_least=0.25),
}
COUNT = 15_000
RHYTHM_S = 6
DEFAULTS = FieldMapping(defaults={"user_id": "a1", "accuracy": 5.0, "speed": 1.0})


def measure() -> list[Row]:
    """Return fixes a second of each format, and how many a second of the importer's CPU time."""
    with scratch() as home, mongo.open_database(Settings(mongodb_uri=home.uri)) as database:
        migrate.prepare(database)
        documents = list(raw.arriving(USERS, COUNT, RHYTHM_S))
        files = _files(documents, home.directory)
        samples = interleave(
            {
                **{form: partial(_import, database, form, path) for form, path in files.items()},
                "csv again": partial(_import, database, "csv", files["csv"], again=True),
                "bare": partial(_insert, database, documents),
            }
        )
    peer = Row("bare `insert_many`", "fixes a second", [rate for rate, _ in samples["bare"]])
    return [row for form in (*files, "csv again") for row in _rows(form, samples[form], peer)]


def _rows(form: str, rates: list[tuple[float, float]], peer: Row) -> list[Row]:
    wall, cpu = map(list, zip(*rates, strict=True))
    return [
        Row(f"import of {form}", "fixes a second", wall, peer, TARGETS.get(form)),
        Row(f"import of {form}", "fixes a second of CPU", cpu, peer, TARGETS.get(form)),
    ]


def _import(
    database: Database[Document], form: str, path: Path, *, again: bool = False
) -> tuple[float, float]:
    """Return the rates of the first import, or of one that finds every fix stored."""
    database[FIXES].delete_many({})
    importer = Importer(FixStore(database), DEFAULTS, form)

    def run() -> None:
        for _ in importer.import_files([str(path)]):
            pass

    rates = _rates(run)
    if again:
        rates = _rates(run)
    report = importer.reports[-1]
    if (report.duplicate if again else report.stored) != COUNT:
        raise RuntimeError(f"not all of {COUNT:,} fixes were imported: {report}")
    return rates


def _insert(database: Database[Document], documents: list[Document]) -> tuple[float, float]:
    database[FIXES].delete_many({})
    rest = iter(documents)

    def run() -> None:
        while batch := list(islice(rest, BATCH)):
            database[FIXES].insert_many(batch, ordered=False)

    return _rates(run)


def _rates(run: Callable[[], None]) -> tuple[float, float]:
    """Return fixes a second, and a second of this process's CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return COUNT / (time.perf_counter() - wall), COUNT / (time.process_time() - cpu)


def _files(documents: list[Document], directory: Path) -> dict[str, Path]:
    """Write as many fixes in each format; where no user is named, a second apart."""
    texts = {
        "csv": "\n".join(
            [",".join(FIELDS), *(",".join(map(str, _fix(each).values())) for each in documents)]
        ),
        "ndjson": "\n".join(json.dumps(_fix(each)) for each in documents),
        "gpx": f"<gpx><trk><trkseg>{''.join(map(_point, count(), documents))}</trkseg></trk></gpx>",
        "google": json.dumps({"locations": list(map(_record, count(), documents))}, indent=1),
    }
    for form, text in texts.items():
        (directory / form).write_text(text)
    return {form: directory / form for form in texts}


def _fix(document: Document) -> dict[str, Any]:
    return {field: document["local_time" if field == "timestamp" else field] for field in FIELDS}


def _time(second: int) -> str:
    return f"{raw.START + timedelta(seconds=second):%Y-%m-%dT%H:%M:%SZ}"


def _point(second: int, document: Document) -> str:
    return (
        f'<trkpt lat="{document["lat"]}" lon="{document["long"]}"><ele>3</ele>'
        f"<time>{_time(second)}</time><speed>1.5</speed></trkpt>\n"
    )


def _record(second: int, document: Document) -> dict[str, Any]:
    return {
        "latitudeE7": round(document["lat"] * 1e7),
        "longitudeE7": round(document["long"] * 1e7),
        "accuracy": 12,
        "source": "WIFI",
        "timestamp": _time(second),
        "activity": [{"activity": [{"type": "STILL", "confidence": 90}]}],
    }

"""No file, however it was made, takes more than a bound of memory or of time."""

import gzip
import io
import json
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from locapi.errors import InvalidFix
from locapi.fixes.validation import Fix
from locapi.importers.importer import Importer
from locapi.importers.report import FileReport, total
from locapi.ingest.store import FixStore, Receipt
from tests.support.importing import MINE, iter_read

MAX_MEMORY = 100_000_000
MAX_SECONDS = 60  # of CPU, much of it to trace the memory
HEADER = "timestamp,lat,long,accuracy,speed,user_id"
LINE = "2017-01-01 13:05:12,40.7,-74,5,1.5,a1"
POINT = '<trkpt lat="40.7" lon="-74.0"><time>2017-01-01T18:05:12Z</time></trkpt>'
LONG = "x" * 1_000
AMPLIFIED = "&a;" * 10_000
LONGER = LONG * 3_000
FEATURE = '{{"type": "Feature", "geometry": {}, "properties": {}}}'


def line_feature(count: int, properties: dict[str, object]) -> str:
    geometry = {"type": "LineString", "coordinates": [[-74, 40.7]] * count}
    times = ["2017-01-01T18:05:12Z"] * count
    return FEATURE.format(json.dumps(geometry), json.dumps({"coordTimes": times, **properties}))


ATTACKS: dict[str, Callable[[], bytes]] = {
    # a pattern that takes the square of a number's length
    "digits.csv": lambda: "\n".join(
        [HEADER, *(LINE.replace("40.7", "1" * 60_000 + "x") for _ in range(3))]
    ).encode(),
    # properties that are repeated at each position
    "properties.geojson": lambda: line_feature(
        10_000, {str(n): "x" * 10 for n in range(20_000)}
    ).encode(),
    # long rows, of which a batch has many
    "rows.csv.gz": lambda: gzip.compress(
        "\n".join([f"{HEADER},note", *[f"{LINE},{LONG * 60}"] * 800]).encode()
    ),
    "rejected.csv.gz": lambda: gzip.compress(
        "\n".join([f"{HEADER},note", *[f"x{LINE},{LONG * 60}"] * 800]).encode()
    ),
    "columns.csv": lambda: "\n".join(
        [",".join([HEADER, *(f"c{n}" for n in range(9_000))]), *[LINE + "," * 9_000] * 50]
    ).encode(),
    "most columns.csv": lambda: "\n".join(
        [",".join([HEADER, *(f"c{n}" for n in range(990))]), *[LINE + ",1" * 990] * 2_000]
    ).encode(),
    "arrays.json": lambda: b'{"locations": [[' + b"[]," * 600_000,
    "objects.json": lambda: b'{"locations": [[' + b'{"a": 1},' * 300_000,
    "texts.json": lambda: b'{"locations": [[' + b'"ab",' * 1_000_000,
    "a text.json": lambda: b'{"locations": ["' + b"x" * 40_000_000,
    "wide text.json": lambda: b'{"locations": ["\\ud83d\\ude00' + b"x" * 11_000_000 + b'"]}',
    "keys.json": lambda: b"{" + b",".join(b'"%d":{}' % n for n in range(1_000_000)),
    "empty arrays.json": lambda: (
        b'{"locations": [], ' + b",".join(b'"device%08d":[]' % n for n in range(900_000)) + b"}"
    ),
    "inner arrays.json": lambda: (
        b'{"locations": [], '
        + b",".join(b'"%d":{"a":[%s]}' % (n, b",".join([b"[]"] * 400)) for n in range(9_990))
        + b"}"
    ),
    "long key.json": lambda: (
        b'{"locations": [], "' + b"k" * 400_000 + b'": [' + b",".join([b"{}"] * 1_000) + b"]}"
    ),
    "line.geojson": lambda: line_feature(20_000, {}).encode(),
    "a line of another.ndjson": lambda: b'{"x": 1}\n' + b"x" * 40_000_000,
    "laughs.gpx": lambda: (
        '<!DOCTYPE gpx [<!ENTITY l0 "ha">'
        + "".join(f'<!ENTITY l{n} "&l{n - 1};&l{n - 1};">' for n in range(1, 60))
        + "]><gpx><trk>&l59;</trk></gpx>"
    ).encode(),
    "expansion.gpx": lambda: (
        f'<!DOCTYPE gpx [<!ENTITY a "{LONG * 100}">]><gpx>{AMPLIFIED}</gpx>'
    ).encode(),
    "outside.gpx": lambda: (
        b'<!DOCTYPE gpx [<!ENTITY f SYSTEM "file:///etc/passwd">]><gpx><name>&f;</name></gpx>'
    ),
    "tag.gpx": lambda: f'<gpx><trk name="{LONGER}"/></gpx>'.encode(),
    "depth.gpx": lambda: b"<gpx>" + b"<a>" * 100_000,
    "elements.gpx": lambda: (
        "<gpx>" + f"<trkpt>{''.join(f'<a{n}>{LONG}</a{n}>' for n in range(200))}</trkpt>" * 100
    ).encode(),
    "times.kml": lambda: (
        b"<kml><Placemark><Track>" + b"<when>2017-01-01T18:05:12Z</when>" * 600_000
    ),
    "long times.kml": lambda: (
        b"<kml><Placemark><Track>" + f"<when>{LONG}</when>".encode() * 110_000
    ),
    "files.zip": lambda: archive({f"{LONG * 60}{n}": b"" for n in range(100)}),
    "bomb.zip": lambda: archive({"a.csv": b"x" * 200_000_000}),
}

STORED = {
    "properties.geojson": 10_000,
    "rows.csv.gz": 800,
    "most columns.csv": 2_000,
    "line.geojson": 20_000,
}


def archive(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in files.items():
            written.writestr(name, content)
    return file.getvalue()


class Discarding(FixStore):
    """A store that keeps nothing."""

    def __init__(self) -> None:
        pass

    def put_many(self, fixes: Iterable[Fix]) -> list[Receipt | InvalidFix]:
        return [Receipt("stored", fix.wall, "") for fix in fixes]


def imported(path: Path) -> FileReport:
    importer = Importer(Discarding(), MINE)
    for _ in importer.import_files([str(path)]):
        pass
    return total(importer.reports)


def test_a_long_path_of_google_s_is_read_position_by_position() -> None:
    content = b'[{"timelinePath": [' + b",".join([b"1"] * 100_000) + b"]}]"
    tracemalloc.start()
    try:
        assert sum(1 for _ in iter_read("google", content)) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ATTACKS)
def test_no_file_takes_more_than_its_bounds(tmp_path: Path, name: str) -> None:
    path, small = tmp_path / name, tmp_path / "small.csv"
    path.write_bytes(ATTACKS[name]())
    small.write_text(f"{HEADER}\n{LINE}")
    imported(small)  # loads what every import needs
    tracemalloc.start()
    started = time.process_time()
    try:
        report = imported(path)
        assert tracemalloc.get_traced_memory()[1] < MAX_MEMORY
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < MAX_SECONDS
    assert report.stored == STORED.get(name, 0)

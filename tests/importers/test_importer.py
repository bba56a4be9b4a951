"""Files are imported one after the other; one that cannot be read does not end the import."""

import fcntl
import gzip
import io
import os
import re
import sys
import termios
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pymongo.database import Database

from locapi.importers import input_file
from locapi.importers.importer import Importer, read_rows
from locapi.importers.row import BrokenFile, Row
from locapi.ingest.store import FixStore
from locapi.storage.documents import Document
from tests.support.importing import MINE
from tests.support.processes import until

GPX = (
    '<gpx><trk><trkseg><trkpt lat="40.7" lon="-74"><time>2017-01-01T18:05:12Z</time></trkpt>'
    "</trkseg></trk></gpx>"
)


def zipped(files: dict[str, str | bytes]) -> bytearray:
    """Return a zip archive of these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return bytearray(content.getvalue())


def imported(db: Database[Document], *paths: Path, form: str | None = None) -> dict[str, int | str]:
    """Import files and return, by the end of its name, each one's fixes or why it has none."""
    importer = Importer(FixStore(db), MINE, form)
    for _ in importer.import_files(map(str, paths)):
        pass
    return {Path(each.file).name: each.warning() or each.fixes for each in importer.reports}


def test_xml_in_an_encoding_that_cannot_be_read_fails_and_the_next_file_is_imported(
    db: Database[Document], tmp_path: Path
) -> None:
    encodings = ("GB2312", "Shift_JIS", "UTF-7", "idna", "foo")
    paths = [tmp_path / f"{encoding}.gpx" for encoding in encodings]
    for path in paths:
        path.write_text(f'<?xml version="1.0" encoding="{path.stem}"?>{GPX}')
    (tmp_path / "last.gpx").write_text(GPX)
    wanted = {
        f"{encoding}.gpx": f"line 1: cannot read XML in the encoding {encoding}: "
        "convert the file to UTF-8 and remove the encoding from its first line"
        for encoding in encodings
    }
    for form in (None, "gpx"):
        found = imported(db, *paths, tmp_path / "last.gpx", form=form)
        assert found == {**wanted, "last.gpx": 1}


def test_a_zip_archive_in_a_folder_named_takeout_is_read_like_any_other(
    db: Database[Document], tmp_path: Path
) -> None:
    (tmp_path / "Takeout").mkdir()
    path = tmp_path / "Takeout" / "strava.zip"
    path.write_bytes(zipped({"a.gpx": GPX}))
    assert imported(db, path) == {"a.gpx": 1}


def set_version(archive: bytearray) -> None:
    archive[archive.index(b"PK\1\2") + 6] = 127


def set_flag(archive: bytearray, flag: int) -> None:
    """Set a flag of the first file, where it begins and in the directory."""
    archive[6] |= flag
    archive[archive.index(b"PK\1\2") + 8] |= flag


def set_name(archive: bytearray, name: bytes) -> None:
    """Set the name of the first file, as UTF-8, where it begins and in the directory."""
    for _ in range(2):
        start = archive.index(b"a.gpx")
        archive[start : start + 5] = name.ljust(5)
    archive[7] |= 8
    archive[archive.index(b"PK\1\2") + 9] |= 8


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (set_version, "zip file version 12.7"),
        (lambda archive: set_name(archive, b"\xff"), "'utf-8' codec can't decode byte 0xff"),
        (lambda archive: set_flag(archive, 32), "compressed patched data"),
    ],
)
def test_a_zip_archive_that_cannot_be_read_fails_and_the_next_file_is_imported(
    db: Database[Document], tmp_path: Path, damage: Callable[[bytearray], None], message: str
) -> None:
    archive = zipped({"a.gpx": GPX})
    damage(archive)
    (tmp_path / "a.zip").write_bytes(archive)
    (tmp_path / "b.gpx").write_text(GPX)
    *failed, last = imported(db, tmp_path / "a.zip", tmp_path / "b.gpx").items()
    assert last == ("b.gpx", 1)
    assert f"cannot be read ({message}" in str(failed)


def test_a_file_in_a_zip_archive_needs_no_name(db: Database[Document], tmp_path: Path) -> None:
    archive = zipped({"a.gpx": GPX})
    set_name(archive, b"\0")
    (tmp_path / "a.zip").write_bytes(archive)
    assert imported(db, tmp_path / "a.zip") == {"a.zip": 1}


def test_an_encrypted_zip_archive_fails_once(db: Database[Document], tmp_path: Path) -> None:
    archive = zipped({"a.gpx": GPX, "b.gpx": GPX})
    for position in re.finditer(b"PK\1\2", archive):
        archive[position.start() + 8] |= 1
    (tmp_path / "a.zip").write_bytes(archive)
    assert imported(db, tmp_path / "a.zip") == {
        "a.zip": "the zip archive is encrypted or its compression is not supported: unpack it first"
    }


def damage_content(archive: bytearray) -> None:
    archive[archive.index(b"trk")] = ord("T")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_content, "damaged or cut off: Bad CRC-32"),
        (lambda archive: set_flag(archive, 1), "this file of the zip archive is encrypted or"),
    ],
)
def test_the_files_after_a_damaged_or_encrypted_one_in_a_zip_archive_are_imported(
    db: Database[Document], tmp_path: Path, damage: Callable[[bytearray], None], message: str
) -> None:
    archive = zipped({"a.gpx": GPX, "b.gpx": GPX})
    damage(archive)
    (tmp_path / "a.zip").write_bytes(archive)
    found = imported(db, tmp_path / "a.zip")
    assert found.pop("b.gpx") == 1
    assert str(found.pop("a.gpx")).startswith(message)
    assert not found


RECORDS = b"""{"locations":
[{"latitudeE7": 407000000, "longitudeE7": -740000000, "timestamp": "2017-01-01T18:05:12Z"}]}"""
PACKED = gzip.compress(RECORDS)


@pytest.mark.parametrize(
    "parts",
    [
        (RECORDS[:1], RECORDS[1:14], RECORDS[14:]),
        (b"\xef", b"\xbb", b"\xbf" + RECORDS),
        (PACKED[:1], PACKED[1:20], PACKED[20:]),
    ],
    ids=["plain", "byte order mark", "gzip"],
)
def test_a_pipe_may_deliver_its_beginning_in_parts(
    db: Database[Document], tmp_path: Path, parts: tuple[bytes, ...]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb", buffering=0) as written:
            for part in parts:
                written.write(part)
                until(lambda: not unread(written))

    def unread(written: io.FileIO) -> int:
        return int.from_bytes(fcntl.ioctl(written, termios.FIONREAD, bytes(4)), sys.byteorder)

    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write)
        assert imported(db, pipe) == {"pipe": 1}
        writing.result()


HEADER = "timestamp,lat,long,accuracy,speed,user_id\n"
ROW = "2017-01-01 13:05:12,40.7,-74,5,1.5,a1\n"
TRKPT = GPX[GPX.index("<trkpt") : GPX.index("</trkseg>")]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("csv", HEADER + ROW * 50),
        ("ndjson", '{"lat": 1}\n' * 50),
        ("json", "[" + ", ".join(['{"lat": 1}'] * 50) + "]\n\n\n"),
        ("gpx", GPX.replace(TRKPT, TRKPT * 50)),
        ("geolife", "x\n" * 6 + "40.7,-74,0,492,40097.5,2017-01-01,18:05:12\n" * 50),
    ],
)
def test_all_rows_before_an_error_of_a_compressed_file_are_read(
    tmp_path: Path, form: str, text: str
) -> None:
    packed = gzip.compress(text.encode())
    for damaged in (packed + b"xx", packed[:-8]):
        (tmp_path / "a").write_bytes(damaged)
        rows: list[Row] = []
        with input_file.opened(str(tmp_path / "a")) as file:
            with pytest.raises(BrokenFile, match="damaged or cut off"):
                rows.extend(read_rows(file, form, MINE))
        assert len(rows) == 50


@pytest.mark.parametrize(
    ("form", "names"),
    [
        (None, {"a.csv", "b.csv.gz", "d.gpx"}),
        ("csv", {"a.csv", "b.csv.gz", "c.txt", "e.csv"}),
        ("gpx", {"d.gpx"}),
        ("google", set()),
    ],
)
def test_a_given_format_selects_the_files_in_a_zip_archive_by_content_or_suffix(
    db: Database[Document], tmp_path: Path, form: str | None, names: set[str]
) -> None:
    table = HEADER + ROW
    files: dict[str, str | bytes] = {
        "a.csv": table,
        "b.csv.gz": gzip.compress(table.encode()),
        "c.txt": table,
        "d.gpx": GPX,
        "e.csv": f"{{note}},{HEADER}x,{ROW}",
    }
    (tmp_path / "a.zip").write_bytes(zipped(files))
    found = imported(db, tmp_path / "a.zip", form=form)
    del found["a.zip"]
    assert found == dict.fromkeys(names, 1)

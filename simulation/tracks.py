"""Read tracks, CSV or NDJSON, gzipped or not, as rows to be sent; judging them is the API's job."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

NUMBERS = ("lat", "long", "accuracy", "speed")
COLUMNS = ("timestamp", *NUMBERS, "user_id")
File = io.BufferedReader | gzip.GzipFile


class Row(NamedTuple):
    """One request body, whose track it belongs to, and where it stands as `file:line`."""

    place: str
    user: str
    body: bytes


class UnreadableTrack(Exception):
    """A file is no track; the text says what to do."""


def read_track(path: Path) -> Iterator[Row]:
    """Yield a file's rows in order, streaming; blank lines are passed over.

    Raises UnreadableTrack.
    """
    name = path.name.lower()
    kind = Path(name.removesuffix(".gz")).suffix
    if kind not in (".csv", ".ndjson", ".jsonl"):
        raise UnreadableTrack(
            f"{path}: cannot tell its format; give a .csv, .ndjson or .jsonl file, or one with .gz."
        )
    try:
        with gzip.open(path) if name.endswith(".gz") else path.open("rb") as file:
            yield from _csv_rows(path, file) if kind == ".csv" else _ndjson_rows(path, file)
    except OSError as error:
        reason = error.strerror or error
        raise UnreadableTrack(f"{path}: {reason}; give a file that can be read.") from error
    except (EOFError, zlib.error, csv.Error) as error:
        raise UnreadableTrack(f"{path}: damaged ({error}); give a whole file.") from error


def _ndjson_rows(path: Path, file: File) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        if line.strip():
            body = line.rstrip(b"\r\n")
            yield Row(f"{path}:{number}", _user_of(body), body)


def _user_of(body: bytes) -> str:
    try:
        fix = json.loads(body)
        return str(fix.get("user_id")) if isinstance(fix, dict) else ""
    except (ValueError, RecursionError):
        return ""


def _csv_rows(path: Path, file: File) -> Iterator[Row]:
    with io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="") as text:
        reader = csv.DictReader(text, restkey="column without a name")
        if not set(reader.fieldnames or COLUMNS) & set(COLUMNS):
            columns = ", ".join(COLUMNS)
            raise UnreadableTrack(f"{path}: its first line must name the columns {columns}.")
        for cells in reader:
            fix = {name: _value(name, cell) for name, cell in cells.items() if cell}
            body = json.dumps(fix).encode()
            yield Row(f"{path}:{reader.line_num}", str(fix.get("user_id")), body)


def _value(name: str, cell: str) -> str | float:
    if name not in NUMBERS:
        return cell
    try:
        return float(cell)
    except ValueError:
        return cell

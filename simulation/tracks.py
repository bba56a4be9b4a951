"""Read tracks, CSV or NDJSON, gzipped or not, as rows to send. The API validates them."""

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
    """A request body, its user, and its place as `file:line`."""

    place: str
    user: str
    body: bytes


class UnreadableTrack(Exception):
    """A file is no track; the message says what to do."""


def read_track(path: Path) -> Iterator[Row]:
    """Yield a file's rows in order, streaming, without blank lines.

    Raises UnreadableTrack.
    """
    name = path.name.lower()
    kind = Path(name.removesuffix(".gz")).suffix
    if kind not in (".csv", ".ndjson", ".jsonl"):
        raise UnreadableTrack(
            f"{path}: unknown extension; give a .csv, .ndjson or .jsonl file, or one with .gz."
        )
    try:
        with gzip.open(path) if name.endswith(".gz") else path.open("rb") as file:
            yield from _csv_rows(path, file) if kind == ".csv" else _ndjson_rows(path, file)
    except OSError as error:
        reason = error.strerror or error
        raise UnreadableTrack(
            f"{path}: {reason}; check its path, permissions and compression."
        ) from error
    except (EOFError, zlib.error, csv.Error) as error:
        raise UnreadableTrack(f"{path}: damaged ({error}); copy or download it again.") from error


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

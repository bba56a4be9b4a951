"""Reading CSV and NDJSON files, gzipped or not."""

import gzip
from pathlib import Path

import pytest

from simulation.tracks import Row, read_track

HEADER = "timestamp,lat,long,accuracy,speed,user_id\n"


def test_csv_cells_become_numbers_where_they_are_and_empty_ones_are_left_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "track.csv"
    path.write_text(
        HEADER.replace("\n", ",mood\n")
        + '2017-01-01 13:05:12.5,40.7,-74,5.0,1e1,42,\n\n2017-01-01 13:05:13,north,,,,"a,b",good\n'
    )
    first = b'{"timestamp": "2017-01-01 13:05:12.5", "lat": 40.7, "long": -74.0, "accuracy": 5.0, '
    second = b'{"timestamp": "2017-01-01 13:05:13", "lat": "north", '
    assert list(read_track(path)) == [
        Row(f"{path}:2", "42", first + b'"speed": 10.0, "user_id": "42"}'),
        Row(f"{path}:4", "a,b", second + b'"user_id": "a,b", "mood": "good"}'),
    ]


def test_csv_with_a_byte_order_mark_and_bytes_that_are_no_utf8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "track.CSV"
    path.write_bytes(b"\xef\xbb\xbfuser_id,lat\r\n\xff,nan\r\nu,1,2\r\n")
    assert [row.body for row in read_track(path)] == [
        b'{"user_id": "\\udcff", "lat": NaN}',
        b'{"user_id": "u", "lat": 1.0, "column without a name": ["2"]}',
    ]


def test_ndjson_lines_are_sent_as_they_are_and_blank_ones_passed_over(tmp_path: Path) -> None:
    lines = [b'{"user_id":"u",  "lat":1e999}', b"{broken", b"\xff", b"[" * 5000, b'"x"']
    path = tmp_path / "track.ndjson"
    path.write_bytes(b"\n  \r\n".join(lines))
    rows = list(read_track(path))
    assert [row.body for row in rows] == lines
    assert [row.user for row in rows] == ["u", "", "", "", ""]
    assert [row.place for row in rows] == [f"{path}:{number}" for number in (1, 3, 5, 7, 9)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.ndjson.gz", b'{"user_id": "u", "lat": 1.0}\n'),
        ("t.jsonl.gz", b'{"user_id": "u", "lat": 1.0}\n'),
        ("t.csv.gz", b"user_id,lat\nu,1\n"),
    ],
)
def test_gzip_is_read(tmp_path: Path, name: str, text: bytes) -> None:
    (tmp_path / name).write_bytes(gzip.compress(text))
    rows = [row.body for row in read_track(tmp_path / name)]
    assert rows == [b'{"user_id": "u", "lat": 1.0}']

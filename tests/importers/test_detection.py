"""A file's format is what it begins with; what cannot be imported is named."""

import gzip
import io
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from locapi.errors import Misconfigured
from locapi.importers.detection import UnknownFormat, detect_format
from locapi.importers.formats import FORMATS
from locapi.importers.input_file import is_archive, members, opened
from locapi.importers.row import BrokenFile

FIX = '{"timestamp": "2017-01-01 13:05:12", "lat": 1}'


@pytest.mark.parametrize(
    ("name", "head", "form"),
    [
        ("a", "time;lat;long\n1;2;3", "csv"),
        ("a.TSV.gz", "time\tlat", "csv"),
        ("a", f"{FIX}\n{FIX[:9]}", "ndjson"),
        ("a.json", f"\n[{FIX}", "json"),
        ("a.json", f'{{"total": 1, "rows": [{FIX}', "json"),
        ("a", "\n<?xml version='1.0'?><!-- c --><gpx>", "gpx"),
        ("a.xml", "<g:gpx xmlns:g='x'><g:trk", "gpx"),
        ("a", "<kml>", "kml"),
        ("a", "<TrainingCenterDatabase>", "tcx"),
        ("a.csv", "<gpx>", "gpx"),
        ("a.gpx", '<?xml version="1.0" encoding="UTF-16"?><gpx>', "gpx"),
        ("a.gpx", '<?xml version="1.0" encoding="GB2312"?><gpx>', "gpx"),
        ("a.json", '{"type": "FeatureCollection", "features": []}', "geojson"),
        ("a.json", '{"name": "x", "bbox": [1],\n "features": [', "geojson"),
        ("a.json", '{"type":"Feature","geometry":{"type":"Poi', "geojson"),
        ("a.json", '{"a": "' + "x, " * 5_000 + '", "type": "Feature"}', "geojson"),
        ("a.json", '{"a": "' + r"\" {" * 5_000 + r'\\", "type": "Feature"}', "geojson"),
        ("a.json", '[{"' + "x" * 5_000 + '": 1, "_type": "location"', "owntracks"),
        ("a.json", '[{"type": "Feature", "geometry', "geojson"),
        ("a", '\x1e{"type": "Feature"', "geojson"),
        (
            "a.geojson",
            '{"locations": [{"geometry": {"type": "Point"}, "type": "Feature"',
            "overland",
        ),
        ("a", '{"current": {}, "locations": [{"type": "Feature"}]}', "overland"),
        ("a.json", '{\n "locations": [ {"timestampMs": "1', "google"),
        ("a.json", '{"somePointsTruncated" : true, "locations" : [', "google"),
        ("a.json", '{"locations": [{"time": 1, "latitude": 2', "json"),
        ("a.json", '{"semanticSegments": [{"startTime"', "google"),
        ("a.json", '{"timelineObjects": [{"placeVisit"', "google"),
        ("a.json", '[{"endTime": "x", "startTime": "y", "visit": {"a": [{"b": 1}]}', "google"),
        ("a.json", '[ {"startTime": "x", "timelinePath": [', "google"),
        ("a.json", '[{"_type": "location", "tst": 1', "owntracks"),
        ("a.json", '{"count": 1, "data": [{"tst": 1, "_type": "location"', "owntracks"),
        ("a", '{"lat": 1, "_type": "location"}\n{', "owntracks"),
        ("2017-01.rec", "2017-01-01T18:05:12Z\t*                 \t{", "owntracks"),
        ("a", "Geolife trajectory\r\nWGS 84\r\n", "geolife"),
    ],
)
def test_format_is_detected_by_the_beginning(name: str, head: str, form: str) -> None:
    encoding = "utf-16" if "UTF-16" in head else "utf-8"
    assert detect_format(head.encode(encoding), name) == form


@pytest.mark.parametrize(
    ("name", "head", "what"),
    [
        ("a.gpx", b"<!DOCTYPE html>\n<html><head>", "an HTML page"),
        ("a.gpx", b"<html><body>", "an HTML page"),
        ("a", b"<rss><channel>", "XML with the element rss"),
        ("a", b'<?xml version="1.0" encoding="foo"?><notes>', "XML with the element notes"),
        ("a.gpx", b"Not found, sorry", "text, not GPX"),
        ("a.gpx", b"", "an empty file"),
        ("a.csv", b"\n", "an empty file"),
        ("a.xlsx", b"PK\x03\x04" + b"\0" * 26 + b"[Content_Types].xml", "an Office document"),
        ("a.ods", b"PK\x03\x04" + b"\0" * 26 + b"mimetypeapplication/vnd.oasis", "an Office doc"),
        ("a.tgz", b"Takeout/".ljust(257, b"\0") + b"ustar", "a tar archive: unpack it first"),
        ("a", b"hello\n", "text without columns"),
        ("a.json", b'{"a": 1,\n "b": {"c": 2}\n}', "JSON with the keys a, b"),
        ("a.json", b'{"a":' * 12_000, "JSON with the keys a"),
        ("a.csv", b"PK\x03\x04...", "a zip archive: unpack it first"),
        ("a.csv", b"\x1f\x8b\x08...", "a gzip file in a gzip file: unpack it first"),
        ("a.csv", b"\xfd7zXZ\0", "an xz file: unpack it first"),
        ("a", b"\x0e\x20\x5d\x08\0\0\0\0.FIT", "a FIT file: export it as GPX, or convert it"),
        ("a", b"SQLite format 3\0", "an SQLite database"),
        ("a", b"\x89PNG\r\n", "a picture"),
        ("a", b"abc\0def", "a binary file"),
        ("a.json", "{}".encode("utf-16"), "UTF-16 text: convert it with iconv"),
        ("a", b"$GPGGA,180512,4042.0,N", "NMEA sentences"),
    ],
)
def test_other_kinds_of_files_are_named(name: str, head: bytes, what: str) -> None:
    with pytest.raises(UnknownFormat) as caught:
        detect_format(head, name)
    assert str(caught.value).startswith(what)


@given(st.binary() | st.text(alphabet='{}[]":,\\ \n<>a1').map(str.encode), st.sampled_from("ab"))
def test_any_beginning_is_detected_or_described(head: bytes, name: str) -> None:
    with suppress(UnknownFormat):
        assert detect_format(head, name) in FORMATS


def test_a_gzipped_file_is_decompressed_and_a_byte_order_mark_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for packed in (b"\xef\xbb\xbfx,y", gzip.compress(b"\xef\xbb\xbfx") + gzip.compress(b",y")):
        path.write_bytes(packed)
        with opened(str(path)) as file:
            assert file.stream.read() == b"x,y"
            assert file.position() == file.size == len(packed)


def test_a_damaged_gzip_file_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(b"x" * 100)[:10])
    with pytest.raises(BrokenFile, match="damaged or cut off: Compressed file ended"):
        with opened(str(tmp_path / "a")):
            pass
    with pytest.raises(Misconfigured, match=r"cannot read .*none: No such file or directory"):
        with opened(str(tmp_path / "none")):
            pass


def test_the_files_in_a_zip_archive_are_read_without_directories_and_hidden_ones(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("d")
        for name, content in {
            "d/a.csv": b"1",
            "b.gz": gzip.compress(b"2"),
            "__MACOSX/a": b"",
            ".DS_Store": b"",
        }.items():
            archive.writestr(name, content)
    with opened(str(path)) as file:
        assert is_archive(file)
        found = {}
        for name, opened_member in members(file):
            with opened_member as member:
                assert member.name == f"{path}/{name}"
                found[name] = member.stream.read()
        assert found == {"d/a.csv": b"1", "b.gz": b"2"}


@pytest.mark.parametrize(
    ("compression", "message"),
    [
        (zipfile.ZIP_LZMA, "its compression is not supported: unpack it first"),
        (zipfile.ZIP_DEFLATED, "damaged or cut off"),
    ],
)
def test_a_zip_archive_of_a_rare_or_damaged_kind_is_refused(
    tmp_path: Path, compression: int, message: str
) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        archive.writestr("a.csv", b"x" * 1_000)
    packed = content.getvalue()
    if compression == zipfile.ZIP_DEFLATED:
        packed = packed[:-30]
    (tmp_path / "a").write_bytes(packed)
    with opened(str(tmp_path / "a")) as file:
        with pytest.raises(BrokenFile, match=message):
            list(members(file))

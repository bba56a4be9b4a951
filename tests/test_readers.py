"""Files of fixes: what each format's rows are, and where it breaks off."""

import gzip
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from locapi import readers, schema
from locapi.errors import InvalidFix, Misconfigured, UnreadableFile
from locapi.importing import reasons
from locapi.readers import delimited, elements, google, gpx, ndjson
from locapi.readers.columns import Columns
from locapi.readers.rows import Broken, Row
from locapi.readers.source import format_of, opened
from tests.conftest import a_fix

NONE = Columns()
MINE = Columns(defaults={"user_id": "a1", "accuracy": 10.0, "speed": 0.0})


def read(path: Path, text: str | bytes, columns: Columns = NONE, form: str = "") -> list[Row]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with opened(str(path)) as source:
        return list(readers.read(source, form or format_of(source), columns))


def fixes(rows: list[Row]) -> list[Any]:
    """Return of each row its place, and the fix or the reasons why it is none."""
    return [
        (row.place, reasons(row.fix) if isinstance(row.fix, InvalidFix) else row.fix)
        for row in rows
    ]


FIX = a_fix()
HEADER = "timestamp,lat,long,accuracy,speed,user_id\n"
LINE = "2017-01-01 13:05:12,40.7,-74,5,1.5,a1\n"


def test_csv_is_read_by_its_header(tmp_path: Path) -> None:
    text = (
        "\ufeffuser_id, note ,speed,accuracy,long,lat,timestamp\r\n"
        'a1,"at a b, c\nd",1.5, 5 ,-74.,407e-1,2017-01-01 13:05:12\r\n'
        "\r\n"
        "7,,,x,1_0,nan,2017-01-01T18:05:12Z\r\n"
    )
    rows = read(tmp_path / "a.csv", text)
    assert fixes(rows) == [
        ("line 3", FIX),
        (
            "line 5",
            {
                "timestamp": "2017-01-01T18:05:12Z",
                "lat": "nan",
                "long": "1_0",
                "accuracy": "x",
                "user_id": "7",
            },
        ),
    ]
    assert rows[0].values["note"] == "at a b, c\nd"


@pytest.mark.parametrize("separator", [";", "\t"])
def test_csv_may_be_separated_otherwise(tmp_path: Path, separator: str) -> None:
    text = (HEADER + LINE).replace(",", separator)
    assert fixes(read(tmp_path / "a.csv", text)) == [("line 2", FIX)]


def test_columns_of_other_names_and_defaults_are_told(tmp_path: Path) -> None:
    columns = Columns(
        {"timestamp": "time", "lat": "latitude", "long": "lon"},
        {"user_id": "a1", "accuracy": 10.0, "speed": 0.0},
    )
    text = (
        "time,latitude,lon,accuracy,lat\n"
        "2017-01-01 13:05:12,40.7,-74,5,1\n"
        "2017-01-01 13:05:13,40.7,-74,,\n"
    )
    assert fixes(read(tmp_path / "a.csv", text, columns)) == [
        ("line 2", {**FIX, "speed": 0.0}),
        ("line 3", {**FIX, "timestamp": "2017-01-01 13:05:13", "accuracy": 10.0, "speed": 0.0}),
    ]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            "timestamp,latitude,long,speed,user_id",
            "the header has no columns 'lat' for lat, but timestamp, latitude, long, speed, "
            "user_id; say which one with --column lat=NAME",
        ),
        (
            "timestamp,lat,long,user_id,speed",
            "the header has no columns 'accuracy' for accuracy, but timestamp, lat, long, user_id, "
            "speed; say which one with --column accuracy=NAME, or what all have with --accuracy",
        ),
        (
            "timestamp,lat,lat,long,accuracy,speed,user_id",
            "the header has 2 columns 'lat' for lat, but timestamp, lat, lat, long, accuracy, "
            "speed, user_id; say which one with --column lat=NAME",
        ),
    ],
)
def test_a_header_that_lacks_a_column_is_told_before_any_row(
    tmp_path: Path, header: str, said: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        read(tmp_path / "a.csv", f"{header}\n1,2\n")
    assert str(caught.value) == f"{tmp_path}/a.csv: {said}"


def test_a_row_of_more_cells_than_the_header_is_rejected(tmp_path: Path) -> None:
    text = HEADER + LINE.strip() + ",7\n" + LINE.strip() + ",,\n"
    assert fixes(read(tmp_path / "a.csv", text)) == [
        ("line 2", ["the row has 7 cells, where the header has 6"]),
        ("line 3", FIX),
    ]


def test_a_file_of_no_rows_has_none(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", "") == []
    assert read(tmp_path / "b.csv", HEADER) == []
    assert read(tmp_path / "a.ndjson", "\n \n") == []
    assert read(tmp_path / "a.json", "[]") == []
    assert read(tmp_path / "b.json", '{"locations": []}') == []
    assert read(tmp_path / "a.geojson", '{"type": "FeatureCollection", "features": []}') == []


def refusal(body: str) -> str:
    """Return what the API says of a body that it cannot read."""
    with pytest.raises(InvalidFix) as refused:
        schema.decode(body.encode())
    return str(refused.value)


def test_ndjson_is_judged_as_the_api_judges_a_body(tmp_path: Path) -> None:
    body = json.dumps({**FIX, "long": -74})
    text = f"\ufeff{body}\n\n[]\n{body[:-1]}\n" + json.dumps({**FIX, "altitude": 3}) + f"\r\n{body}"
    rows = read(tmp_path / "a.ndjson", text)
    assert fixes(rows) == [
        ("line 1", FIX),
        ("line 3", [refusal("[]")]),
        ("line 4", [refusal(body[:-1])]),
        ("line 5", {**FIX, "altitude": 3.0}),
        ("line 6", FIX),
    ]
    assert rows[2].values == body[:-1]


def test_of_foreign_ndjson_only_the_columns_are_taken(tmp_path: Path) -> None:
    foreign = {**FIX, **{f"x{number}": number for number in range(30)}, "speed": None, "vel": 1.5}
    rows = read(tmp_path / "a.jsonl", json.dumps(foreign), Columns({"speed": "vel"}))
    assert fixes(rows) == [("line 1", FIX)]


def test_a_line_that_is_too_long_is_one_reject(tmp_path: Path) -> None:
    text = b'{"lat": "' + b"x" * 100_000 + b'"}\n' + json.dumps(FIX).encode()
    rows = read(tmp_path / "a.ndjson", text)
    assert fixes(rows) == [("line 1", [refusal("x" * 100_000)]), ("line 2", FIX)]
    assert len(rows[0].values) < 9_000


GPX_1_1 = """<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1"
 xmlns:gpxtpx="http://www.garmin.com/xmlschemas/TrackPointExtension/v2">
 <metadata><time>2020-01-01T00:00:00Z</time></metadata>
 <wpt lat="1" lon="2"><time>2017-01-01T18:00:00Z</time></wpt>
 <rte><rtept lat="1" lon="2"/></rte>
 <trk><name>hike</name><trkseg>
  <trkpt lat="40.7" lon="-74.0"><ele>3.5</ele><time>2017-01-01T18:05:12Z</time><hdop>1.2</hdop>
   <extensions><gpxtpx:TrackPointExtension><gpxtpx:speed>1.5</gpxtpx:speed>
   </gpxtpx:TrackPointExtension></extensions></trkpt>
 </trkseg><trkseg>
  <trkpt lat="40.8" lon="-74.0"/>
 </trkseg></trk>
</gpx>
"""
GPX_1_0 = """<gpx version="1.0" xmlns="http://www.topografix.com/GPX/1/0"><trk><trkseg>
<trkpt lon="-74.0" lat="40.7"><time>2017-01-01T18:05:12.500</time><speed> 1.5 </speed>
<accuracy>5</accuracy></trkpt></trkseg></trk></gpx>
"""


def test_gpx_is_the_points_of_its_tracks(tmp_path: Path) -> None:
    rows = read(tmp_path / "a.gpx", GPX_1_1, Columns(defaults={"user_id": "a1"}))
    assert fixes(rows) == [
        (
            "line 8",
            {
                "timestamp": "2017-01-01T18:05:12Z",
                "lat": 40.7,
                "long": -74.0,
                "speed": 1.5,
                "user_id": "a1",
            },
        ),
        ("line 12", {"lat": 40.8, "long": -74.0, "user_id": "a1"}),
    ]
    assert rows[0].values == {
        "lat": "40.7",
        "long": "-74.0",
        "ele": "3.5",
        "timestamp": "2017-01-01T18:05:12Z",
        "hdop": "1.2",
        "speed": "1.5",
    }


def test_gpx_1_0_has_its_own_speed_and_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    ((place, fix),) = fixes(read(tmp_path / "a.gpx", GPX_1_0, Columns(defaults={"user_id": "a1"})))
    assert (place, fix) == ("line 2", {**FIX, "timestamp": "2017-01-01T18:05:12.500Z"})


def test_an_element_of_gpx_may_be_named_for_a_field(tmp_path: Path) -> None:
    columns = Columns({"accuracy": "hdop"}, {"user_id": "a1"})
    (first, _) = fixes(read(tmp_path / "a.gpx", GPX_1_1, columns))
    assert first[1]["accuracy"] == 1.2


POINT = '<trkpt lat="40.7" lon="-74.0"><time>2017-01-01T18:05:12Z</time></trkpt>\n'
TRACK = "<gpx><trk><trkseg>\n"
LAUGHS = "".join(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, 12))
HOSTILE = {
    "laughs": f'<!DOCTYPE gpx [<!ENTITY l0 "ha">{LAUGHS}]><gpx><trk>&l11;</trk></gpx>',
    "blow-up": f'<!DOCTYPE gpx [<!ENTITY a "{"x" * 100_000}">]><gpx>{"&a;" * 10_000}</gpx>',
    "file": '<!DOCTYPE gpx [<!ENTITY f SYSTEM "file:///etc/passwd">]><gpx><name>&f;</name></gpx>',
    "outside": '<!DOCTYPE gpx SYSTEM "http://127.0.0.1:9/gpx.dtd"><gpx/>',
    "tag": f'<gpx><trk name="{"x" * 3_000_000}"/></gpx>',
    "depth": "<gpx>" + "<a>" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_xml_is_refused_before_it_grows(tmp_path: Path, name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableFile, match="a document type, or what is too long or nested"):
            read(tmp_path / "a.gpx", HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def until_it_breaks(path: Path, text: str | bytes, columns: Columns = MINE) -> tuple[int, str]:
    """Return how many rows come before a file breaks, and what is said of it then."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    rows: list[Row] = []
    with opened(str(path)) as source:
        with pytest.raises(UnreadableFile) as caught:
            rows.extend(readers.read(source, format_of(source), columns))
    said = str(caught.value).replace(str(path), "FILE")
    assert said.endswith("; mend the file and import it again")
    return len(rows), said.rpartition("; ")[0]


LOCATIONS = '{"locations": [{"latitudeE7": 1, "longitudeE7": 2}, {"latitudeE7": 1}, '


@pytest.mark.parametrize(
    ("name", "text", "count", "said"),
    [
        (
            "a.csv",
            HEADER + LINE + LINE + '"2017' + "\n" * 200,
            2,
            "FILE cannot be read on after line 3: line 104: a quotation that does not end",
        ),
        (
            "a.csv",
            HEADER + LINE + "x" * 70_000,
            1,
            "FILE cannot be read on after line 2: line 3 has more than 65,536 characters",
        ),
        (
            "a.gpx",
            TRACK + POINT + POINT + "<trkpt></trk>",
            2,
            "FILE cannot be read on after line 3: line 4: mismatched tag",
        ),
        (
            "a.gpx",
            TRACK + POINT,
            1,
            "FILE cannot be read on after line 2: line 3: no element found",
        ),
        (
            "a.json",
            LOCATIONS + "oops",
            2,
            "FILE cannot be read on after locations[1]: it is not JSON: "
            "lexical error: invalid char in json text.",
        ),
        (
            "a.json",
            LOCATIONS,
            2,
            "FILE cannot be read on after locations[1]: it is not JSON: parse error: premature EOF",
        ),
        (
            "a.json",
            '{"locations": ' + "[" * 100_000,
            0,
            "FILE cannot be read on at its beginning: an element of more than 1,000,000 values or "
            "67,108,864 bytes, or nested deeper than 32",
        ),
        (
            "a.json",
            "[1] [2]",
            1,
            "FILE cannot be read on after [0]: it is not JSON: parse error: trailing garbage",
        ),
        (
            "a.json",
            '{"userLocationProfile": {}}',
            0,
            "FILE cannot be read on at its beginning: it has none of locations, semanticSegments, "
            "rawSignals, timelineObjects",
        ),
        (
            "a.geojson",
            '{"type": "Point", "coordinates": [1, 2]}',
            0,
            "FILE cannot be read on at its beginning: it is no GeoJSON feature, nor a collection "
            "of them",
        ),
    ],
)
def test_a_break_names_the_file_and_the_line_after_what_came_before(
    tmp_path: Path, name: str, text: str, count: int, said: str
) -> None:
    assert until_it_breaks(tmp_path / name, text) == (count, said)


def test_gzipped_files_are_unpacked_whatever_their_name(tmp_path: Path) -> None:
    packed = gzip.compress((HEADER + LINE).encode())
    for name in ("a.csv.gz", "b.csv", "c"):
        assert fixes(read(tmp_path / name, packed)) == [("line 2", FIX)]
    assert fixes(read(tmp_path / "d.csv.gz", packed + gzip.compress(LINE.encode()))) == [
        ("line 2", FIX),
        ("line 3", FIX),
    ]


def test_a_gzipped_file_that_is_cut_off_says_so_after_what_it_holds(tmp_path: Path) -> None:
    packed = gzip.compress((HEADER + LINE * 10_000).encode(), compresslevel=0)
    count, said = until_it_breaks(tmp_path / "a.csv.gz", packed[:-100_000])
    assert 1_000 < count < 10_000
    assert said == (
        f"FILE cannot be read on after line {count + 1}: "
        "Compressed file ended before the end-of-stream marker was reached"
    )


def feature(geometry: dict[str, Any] | None, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def point(*position: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": position}


TIMES = ["2017-01-01T18:05:12Z", "2017-01-01T18:05:13Z"]
POSITIONS = [[-74.0, 40.7, 3.0], [-74.0, 40.8]]
LINE_STRING = {"type": "LineString", "coordinates": POSITIONS}
LINES = {"type": "MultiLineString", "coordinates": [POSITIONS, POSITIONS[:1]]}


def test_geojson_is_points_and_lines_with_times(tmp_path: Path) -> None:
    good = {name: FIX[name] for name in ("timestamp", "accuracy", "speed", "user_id")}
    at = {"lat": 40.7, "long": -74.0, **MINE.defaults}
    other = {**at, "lat": 40.8}
    document = {
        "type": "FeatureCollection",
        "bbox": [1, 2, 3, 4],
        "features": [
            feature(point(-74, 40.7, 3), **good, battery=7),
            feature(point(-74, 40.7), speed=None),
            feature(LINE_STRING, coordTimes=TIMES),
            feature(LINES, coordinateProperties={"times": [TIMES, TIMES[:1]]}),
            feature(LINE_STRING, coordTimes=TIMES[:1]),
            feature(None, **good),
            {"type": "Other"},
            7,
        ],
    }
    no = ["the feature is no point, and no line with a time for each position"]
    assert fixes(read(tmp_path / "a.geojson", json.dumps(document), MINE)) == [
        ("features[0]", FIX),
        ("features[1]", at),
        ("features[2], position 0", {**at, "timestamp": TIMES[0]}),
        ("features[2], position 1", {**other, "timestamp": TIMES[1]}),
        ("features[3], position 0", {**at, "timestamp": TIMES[0]}),
        ("features[3], position 1", {**other, "timestamp": TIMES[1]}),
        ("features[3], position 2", {**at, "timestamp": TIMES[0]}),
        ("features[4]", no),
        ("features[5]", no),
        ("features[6]", no),
        ("features[7]", no),
    ]


def test_geojson_may_be_one_feature_and_its_properties_named(tmp_path: Path) -> None:
    columns = Columns({"timestamp": "time", "user_id": "device"})
    one = feature(point(-74, 40.7), time=TIMES[0], device="a1", accuracy=5, speed=1.5)
    rows = read(tmp_path / "a.json", json.dumps(one), columns)
    assert fixes(rows) == [("the whole", {**FIX, "timestamp": TIMES[0]})]


NEW_YORK_E7 = {"latitudeE7": 407000000, "longitudeE7": -740000000}
RECORDS = {
    "locations": [
        {**NEW_YORK_E7, "accuracy": 5, "velocity": 2, "timestamp": TIMES[0], "source": "WIFI"},
        {**NEW_YORK_E7, "accuracy": 5, "timestampMs": "1483293912345", "activity": [{"x": []}]},
        {"accuracy": 5, "timestamp": TIMES[0]},
        7,
    ]
}
ANDROID = {
    "semanticSegments": [
        {
            "startTime": "2017-01-01T13:00:00.000-05:00",
            "endTime": "2017-01-01T14:00:00.000-05:00",
            "timelinePath": [
                {"point": "40.7°, -74.0°", "time": "2017-01-01T13:05:00.000-05:00"},
                {"point": "40.7°, -74.0°", "durationMinutesOffsetFromStartTime": "7"},
                {"point": "nowhere", "time": "2017-01-01T13:05:00.000-05:00"},
            ],
        },
        {"startTime": TIMES[0], "endTime": TIMES[1], "visit": {"probability": 0.5}},
        {"timelinePath": [{"point": 7}]},
    ],
    "rawSignals": [
        {
            "position": {
                "LatLng": "40.7°, -74.0°",
                "accuracyMeters": 13,
                "altitudeMeters": 90.7,
                "source": "WIFI",
                "timestamp": "2017-01-01T13:05:12.000-05:00",
                "speedMetersPerSecond": 0.5,
            }
        },
        {"activityRecord": {"timestamp": TIMES[0]}},
        {"wifiScan": {"deliveryTime": TIMES[0]}},
    ],
    "userLocationProfile": {"frequentPlaces": []},
}
IPHONE = [
    {
        "startTime": "2017-01-01T13:00:00.000-05:00",
        "endTime": "2017-01-01T15:00:00.000-05:00",
        "timelinePath": [{"point": "geo:40.7,-74.0", "durationMinutesOffsetFromStartTime": "90"}],
    },
    {"startTime": TIMES[0], "activity": {"start": "geo:1,2", "end": "geo:1,2"}},
]
MONTH = {
    "timelineObjects": [
        {
            "activitySegment": {
                "simplifiedRawPath": {
                    "points": [
                        {
                            "latE7": 407000000,
                            "lngE7": -740000000,
                            "accuracyMeters": 5,
                            "timestamp": TIMES[0],
                        }
                    ]
                }
            }
        },
        {"placeVisit": {"location": {"latitudeE7": 1}}},
    ]
}
HERE = {"lat": 40.7, "long": -74.0, "user_id": "a1"}
NOT_GOOGLES = ["it is not of the form that Google's exports have"]


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        (
            RECORDS,
            [
                (
                    "locations[0]",
                    {**HERE, "timestamp": TIMES[0], "accuracy": 5.0, "speed": 2.0},
                ),
                (
                    "locations[1]",
                    {**HERE, "timestamp": "2017-01-01T18:05:12.345000+00:00", "accuracy": 5.0},
                ),
                (
                    "locations[2]",
                    {"timestamp": TIMES[0], "accuracy": 5.0, "user_id": "a1"},
                ),
                ("locations[3]", NOT_GOOGLES),
            ],
        ),
        (
            ANDROID,
            [
                (
                    "semanticSegments[0], position 0",
                    {**HERE, "timestamp": "2017-01-01T13:05:00.000-05:00"},
                ),
                (
                    "semanticSegments[0], position 1",
                    {**HERE, "timestamp": "2017-01-01T13:07:00-05:00"},
                ),
                (
                    "semanticSegments[0], position 2",
                    {"timestamp": "2017-01-01T13:05:00.000-05:00", "user_id": "a1"},
                ),
                ("semanticSegments[2]", NOT_GOOGLES),
                (
                    "rawSignals[0]",
                    {
                        **HERE,
                        "timestamp": "2017-01-01T13:05:12.000-05:00",
                        "accuracy": 13.0,
                        "speed": 0.5,
                    },
                ),
            ],
        ),
        (IPHONE, [("[0]", {**HERE, "timestamp": "2017-01-01T14:30:00-05:00"})]),
        (
            MONTH,
            [
                (
                    "timelineObjects[0]",
                    {**HERE, "timestamp": TIMES[0], "accuracy": 5.0},
                )
            ],
        ),
    ],
    ids=["records", "android", "iphone", "month"],
)
def test_google_s_history_is_what_phones_measured(
    tmp_path: Path, document: Any, wanted: list[Any]
) -> None:
    columns = Columns(defaults={"user_id": "a1"})
    text = json.dumps(document, ensure_ascii=False, indent=2)
    assert fixes(read(tmp_path / "Records.json", text, columns)) == wanted


@pytest.mark.parametrize(
    ("name", "head", "form"),
    [
        ("a.CSV", "", "csv"),
        ("a.tsv.gz", "", "csv"),
        ("a.ndjson.gz", "", "ndjson"),
        ("a.jsonl", "", "ndjson"),
        ("a.gpx", "", "gpx"),
        ("a.geojson", "", "geojson"),
        ("a", HEADER, "csv"),
        ("a.txt", "time;lat;long\n1;2;3", "csv"),
        ("a", '{"timestamp": "2017-01-01 13:05:12", "lat": 1}\n{"ti', "ndjson"),
        ("a.json", '\n {\n "locations": [', "google"),
        ("a.json", '{"semanticSegments": [', "google"),
        ("a.json", "\ufeff[\n {", "google"),
        ("a.json", '{"type": "FeatureCollection", "features": []}', "geojson"),
        ("a.json", '{"name": "x",\n "features": [', "geojson"),
        ("a", "\n<?xml", "gpx"),
    ],
)
def test_the_format_is_told_by_the_name_or_else_by_the_beginning(
    tmp_path: Path, name: str, head: str, form: str
) -> None:
    (tmp_path / name).write_text(head)
    with opened(str(tmp_path / name)) as source:
        assert format_of(source) == form


@pytest.mark.parametrize("head", [b"", b"hello\n", b"\x89PNG\r\n", b"\x1f\x8b\x08broken"])
def test_a_format_that_cannot_be_told_is_asked_for(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(head)
    with opened(str(path)) as source:
        with pytest.raises(
            Misconfigured, match=r"a\.bin(: cannot tell its format| cannot be read)"
        ):
            format_of(source)


def test_a_file_that_is_not_there_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="none cannot be read: No such file or directory"):
        with opened(str(tmp_path / "none")):
            pass


def test_without_the_library_json_says_what_to_install(tmp_path: Path) -> None:
    with mock.patch.dict("sys.modules", {"ijson": None}):
        with pytest.raises(Misconfigured, match=r"pip install 'locapi\[import\]'"):
            read(tmp_path / "a.json", "[]")


class Endless(io.RawIOBase):
    """A file that begins and then repeats itself, so many times."""

    def __init__(self, begin: str, again: str, times: int) -> None:
        self._parts = self._each(begin.encode(), again.encode() * 1_000, times // 1_000)
        self._left = b""

    def _each(self, begin: bytes, again: bytes, times: int) -> Iterator[bytes]:
        yield begin
        for _ in range(times):
            yield again

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._left = self._left or next(self._parts, b"")
        some, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(some)] = some
        return len(some)


RECORD = json.dumps(RECORDS["locations"][0]) + ", "


@pytest.mark.parametrize(
    ("rows", "begin", "again"),
    [
        (delimited.rows, HEADER, LINE),
        (ndjson.rows, "", json.dumps(FIX) + "\n"),
        (gpx.rows, TRACK, POINT),
        (google.rows, '{"locations": [', RECORD),
    ],
    ids=["csv", "ndjson", "gpx", "google"],
)
def test_memory_does_not_grow_with_the_file(rows: Any, begin: str, again: str) -> None:
    def peak(times: int) -> int:
        stream = io.BufferedReader(Endless(begin, again, times))
        count = 0
        tracemalloc.start()
        try:
            for _ in rows(stream, MINE):
                count += 1
                if count == times - 10:
                    break
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(20_000) < peak(2_000) + 500_000


def test_one_endless_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "_MAX_BYTES", 1_000_000)
    stream = io.BufferedReader(Endless('{"locations": ["', "x" * 100, 1_000_000))
    with pytest.raises(Broken, match="an element of more than"):
        list(elements.elements(stream))

"""Each format: which of its parts are fixes, which are skipped, and where a file is broken."""

import json
from typing import Any

import pytest

from locapi.errors import InvalidFix
from locapi.fixes.validation import Fix
from locapi.importers.fields import FieldMapping
from locapi.importers.judge import judge
from locapi.importers.row import BrokenFile, Row
from tests.conftest import a_fix
from tests.support.importing import DEFAULTS, MINE, found, iter_read, read

INSTANT = "2017-01-01T18:05:12+00:00"
FIX = a_fix()
HERE = {"lat": 40.7, "long": -74.0, "accuracy": 5.0, "speed": 1.5, "user_id": "a1"}
HEADER = "timestamp,lat,long,accuracy,speed,user_id\n"
LINE = "2017-01-01 13:05:12,40.7,-74,5,1.5,a1\n"
ONE_USER = FieldMapping(defaults={"user_id": "a1"})


def shown(form: str, content: str | bytes, mapping: FieldMapping = MINE) -> list[Any]:
    """Return what is found, with instants as text."""
    return [
        {**each, "timestamp": each["timestamp"].isoformat()}
        if isinstance(each, dict) and not isinstance(each.get("timestamp", ""), str)
        else each
        for each in found(form, content, mapping)
    ]


def places(form: str, content: str) -> list[str]:
    return [each.place for each in read(form, content) if isinstance(each, Row)]


def test_csv_is_read_by_its_header() -> None:
    text = (
        "user_id, note ,speed,accuracy,long,lat,timestamp\r\n"
        'a1,"at a b, c\nd",1.5, 5 ,-74.,407e-1,2017-01-01 13:05:12\r\n'
        "\r\n"
        "7,,,x,1_0,40,2017-01-01T18:05:12Z,\r\n"
    )
    other = {"timestamp": INSTANT, "lat": 40.0, "long": "1_0", "accuracy": "x", "user_id": "7"}
    assert shown("csv", text, FieldMapping()) == [FIX, other]
    assert places("csv", text) == ["line 3", "line 5"]
    (row, _) = read("csv", text)
    assert isinstance(row, Row)
    assert row.content["note"] == "at a b, c\nd"


@pytest.mark.parametrize(
    "text",
    [
        (HEADER + LINE).replace(",", "\t"),
        (HEADER + LINE).replace(",", ";"),
        (HEADER + LINE).replace(",", ";").replace(".", ","),
        "sep=;\n" + (HEADER + LINE).replace(",", ";"),
    ],
)
def test_csv_may_have_other_separators_and_then_decimal_commas(text: str) -> None:
    assert found("csv", text) == [FIX]


@pytest.mark.parametrize(
    "text",
    [
        "\n\r\n \n" + HEADER + LINE,
        "\ufeff\n" + HEADER + LINE,
        ",,,,,\n" + HEADER + LINE,
        "\nsep=,\n\n" + HEADER + LINE,
        "\n" * 200 + HEADER + "\n , \n" * 200 + LINE,
    ],
)
def test_blank_lines_before_and_after_a_csv_header_are_passed_over(text: str) -> None:
    assert found("csv", text) == [FIX]


def test_blanks_after_each_separator_do_not_count_in_csv() -> None:
    (row,) = found("csv", (HEADER + LINE.replace("a1", '"a, 1"')).replace(",", ", "))
    assert row == {**FIX, "user_id": "a,  1"}
    (row,) = found("csv", HEADER + LINE.replace("a1", " a1"))
    assert row == {**FIX, "user_id": " a1"}


def test_a_csv_file_without_accuracies_and_speeds_is_read() -> None:
    text = "timestamp,lat,long,user_id\n2017-01-01 13:05:12,40.7,-74,a1\n"
    (row,) = read("csv", text, FieldMapping())
    assert isinstance(row, Row)
    fix = judge(row)
    assert isinstance(fix, Fix)
    assert (fix.accuracy, fix.speed) == (None, None)


def test_a_csv_row_with_more_cells_than_the_header_is_rejected() -> None:
    text = HEADER + LINE.strip() + ",7\n" + LINE.strip() + ",,\n"
    assert found("csv", text) == [
        "the row has 7 cells, the header 6 (is a separator unquoted?)",
        FIX,
    ]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "time,latitude,lng,speed",
            "missing columns: timestamp, lat, long, user_id. Found: time, latitude, lng, speed. "
            "Add --column timestamp=time --column lat=latitude --column long=lng --user USER.",
        ),
        (
            "timestamp,lat,long,velocity,horizontal_accuracy,user",
            "missing columns: accuracy, speed, user_id. Found: timestamp, lat, long, velocity, "
            "horizontal_accuracy, user. Add --column accuracy=horizontal_accuracy "
            "--column speed=velocity --column user_id=user.",
        ),
        (
            "timestamp,lat,lat,long,accuracy,speed,user_id",
            "the header has 2 columns 'lat'. Choose another one with --column lat=NAME.",
        ),
        (",".join(["x"] * 1_001), "the header has 1,001 columns; at most 1,000 are read"),
    ],
)
def test_a_csv_header_without_a_column_for_each_field_names_the_options(
    header: str, message: str
) -> None:
    with pytest.raises(BrokenFile) as caught:
        read("csv", f"{header}\n1,2\n", FieldMapping())
    assert str(caught.value) == message


def test_ndjson_is_one_object_a_line() -> None:
    body = json.dumps({**FIX, "long": -74, "altitude": 3})
    long = json.dumps({"x": "y" * 100_000})
    text = f'{body}\n\n[]\n{body[:-1]}\n{{"lat": 1, "lat": 2}}\n{long}\r\n{body}'
    assert found("ndjson", text, FieldMapping()) == [
        FIX,
        "it is not a JSON object",
        "not JSON: expecting ',' delimiter (column 125)",
        "it has a key twice",
        "not JSON, or a line of more than 65,536 bytes",
        FIX,
    ]
    assert places("ndjson", text) == ["line 1", "line 3", "line 4", "line 5", "line 6", "line 7"]


def test_ndjson_of_another_program_is_mapped() -> None:
    text = '{"ts": 1483293912, "where": "here", "latitude": "40.7", "long": -74, "acc": 5}'
    mapping = FieldMapping(
        {"timestamp": "ts", "lat": "latitude", "accuracy": "acc"}, {"user_id": "a1", "speed": 1.5}
    )
    assert shown("ndjson", text, mapping) == [{**HERE, "timestamp": INSTANT}]


def test_json_is_an_array_of_objects() -> None:
    for text in (json.dumps([FIX, 7]), json.dumps({"total": 1, "rows": [FIX, 7]})):
        assert found("json", text) == [FIX, "skipped value that is not an object"]


GPX = """
  <?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1"
 xmlns:x="http://www.garmin.com/xmlschemas/TrackPointExtension/v2">
 <metadata><name>m</name><time>2020-01-01T00:00:00Z</time></metadata>
 <wpt lat="1" lon="2"><time>2017-01-01T18:00:00Z</time><name>w</name></wpt>
 <rte><name>r</name><rtept lat="1" lon="2"/></rte>
 <trk><name>hike</name><trkseg>
  <trkpt lat="40.7" lon="-74.0">
   <extensions><x:time>2001-01-01T00:00:00Z</x:time><x:a><x:speed>1.5</x:speed></x:a></extensions>
   <time>2017-01-01T18:05:12</time><hdop>1.2</hdop><accuracy>5</accuracy></trkpt>
 </trkseg><trkseg>
  <trkpt lat="40.8" lon="-74.0"><name>TP001</name></trkpt>
 </trkseg></trk>
 <trk><trkseg>
  <trkpt lat="40.9" lon="-74.0"><name>TP002</name><speed>-1</speed></trkpt>
 </trkseg></trk>
</gpx>
"""


def test_gpx_is_the_points_of_its_tracks_with_their_own_elements_in_utc() -> None:
    assert shown("gpx", GPX) == [
        "skipped waypoint",
        "skipped route point",
        {**HERE, "timestamp": INSTANT},
        {"lat": 40.8, "long": -74.0, **DEFAULTS},
        {"lat": 40.9, "long": -74.0, **DEFAULTS},
    ]
    assert places("gpx", GPX)[0] == "line 8"


def test_gpx_elements_and_the_name_of_the_track_may_be_fields() -> None:
    mapping = FieldMapping({"accuracy": "hdop", "user_id": "name"}, {"user_id": "a1"})
    points = [each for each in found("gpx", GPX, mapping) if isinstance(each, dict)]
    assert points[0]["accuracy"] == 1.2
    assert [each["user_id"] for each in points] == ["hike", "hike", "a1"]


KML = """<kml xmlns:gx="http://www.google.com/kml/ext/2.2"><Document><name>d</name>
<Placemark><name>a1</name><gx:Track>
 <when>2017-01-01T18:05:12Z</when><when>2017-01-01T18:05:13Z</when>
 <gx:coord>-74 40.7 3</gx:coord><gx:coord/></gx:Track></Placemark>
<Placemark><name>b</name><TimeStamp><when>2017-01-01T18:05:12</when></TimeStamp>
 <Point><coordinates>-74,40.7</coordinates></Point></Placemark>
<Placemark><TimeSpan><begin>2017-01-01T18:05:12Z</begin></TimeSpan>
 <LineString><coordinates>1,2 3,4</coordinates></LineString></Placemark>
<Placemark><gx:Track><when>2017-01-01T18:05:12Z</when></gx:Track></Placemark>
</Document></kml>"""


def test_kml_is_the_points_of_its_tracks_and_of_placemarks_with_a_time() -> None:
    mapping = FieldMapping({"user_id": "name"}, DEFAULTS)
    here = {"timestamp": INSTANT, "lat": 40.7, "long": -74.0, **DEFAULTS}
    assert shown("kml", KML, mapping) == [
        here,
        {"timestamp": "2017-01-01T18:05:13+00:00", **DEFAULTS},
        {**here, "user_id": "b"},
        "skipped placemark without a time or a point",
        "the track has 1 more times than positions",
    ]


def test_tcx_is_its_track_points() -> None:
    point = (
        "<Trackpoint><Time>2017-01-01T18:05:12Z</Time><Position><LatitudeDegrees>40.7"
        "</LatitudeDegrees><LongitudeDegrees>-74</LongitudeDegrees></Position>"
        "<Extensions><x:TPX><x:Speed>1.5</x:Speed></x:TPX></Extensions></Trackpoint>"
    )
    indoors = "<Trackpoint><Time>2017-01-01T18:05:13Z</Time></Trackpoint>"
    mapping = FieldMapping(defaults={"user_id": "a1", "accuracy": 5.0})
    assert shown("tcx", f"<T><Lap><Track>{point}{indoors}</Track></Lap></T>", mapping) == [
        {**HERE, "timestamp": INSTANT},
        "skipped track point without a position",
    ]


TCX_POINT = (
    "<T><Trackpoint><Time>2017-01-01T18:05:12Z</Time><Position><LatitudeDegrees>40.7"
    "</LatitudeDegrees><LongitudeDegrees>-74</LongitudeDegrees></Position>"
    "<Speed>1.5</Speed></Trackpoint></T>"
)


@pytest.mark.parametrize(
    ("form", "text", "names"),
    [
        ("gpx", GPX, {"timestamp": "time", "long": "lon"}),
        ("gpx", GPX, {"timestamp": "timestamp", "long": "long"}),
        ("kml", KML, {"timestamp": "when"}),
        ("kml", KML, {"timestamp": "timestamp"}),
        (
            "tcx",
            TCX_POINT,
            {
                "timestamp": "Time",
                "lat": "LatitudeDegrees",
                "long": "LongitudeDegrees",
                "speed": "Speed",
            },
        ),
        ("tcx", TCX_POINT, {"timestamp": "timestamp", "lat": "lat", "speed": "speed"}),
    ],
)
def test_xml_elements_have_their_own_names_and_those_of_the_fields(
    form: str, text: str, names: dict[str, str]
) -> None:
    assert found(form, text, FieldMapping(names, DEFAULTS)) == found(form, text)


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def point(*position: Any) -> dict[str, Any]:
    return {"type": "Point", "coordinates": position}


TIMES = ["2017-01-01T18:05:12Z", "2017-01-01T18:05:13Z"]
POSITIONS = [[-74.0, 40.7, 3.0], [-74.0, 40.8]]
LINE_STRING = {"type": "LineString", "coordinates": POSITIONS}
LINES = {"type": "MultiLineString", "coordinates": [POSITIONS, POSITIONS[:1]]}
FEATURES = [
    feature(point("-74", "40.7", 3), **{**FIX, "accuracy": "5"}, battery=7),
    feature(point(-74, 40.7), speed=None),
    feature(LINE_STRING, coordTimes=TIMES, speed=2),
    feature(LINES, coordinateProperties={"times": [TIMES, TIMES[:1]]}),
    feature({**LINE_STRING, "coordinates": [None, POSITIONS[1]]}, coordTimes=TIMES),
    feature({**LINES, "coordinates": [None, POSITIONS]}, coordTimes=[None, TIMES]),
    feature(LINES, coordTimes=[TIMES]),
    feature(LINE_STRING, coordTimes=TIMES[:1]),
    feature(LINE_STRING),
    feature({"type": "Polygon", "coordinates": []}),
    feature(None),
    7,
]
FIRST = {"timestamp": INSTANT, "lat": 40.7, "long": -74.0, **DEFAULTS}
SECOND = {"timestamp": "2017-01-01T18:05:13+00:00", "lat": 40.8, "long": -74.0, **DEFAULTS}
FOUND = [
    FIX,
    {"lat": 40.7, "long": -74.0, **DEFAULTS},
    {**FIRST, "speed": 2.0},
    {**SECOND, "speed": 2.0},
    FIRST,
    SECOND,
    FIRST,
    {"timestamp": INSTANT, **DEFAULTS},
    SECOND,
    "a line is not an array",
    FIRST,
    SECOND,
    "2 lines, but 1 list of times: there must be as many",
    "2 positions, but 1 time: there must be as many",
    "the line has no time for each position",
    "skipped feature of type Polygon",
    "the feature has no geometry",
    "the feature is not a JSON object",
]


@pytest.mark.parametrize(
    "document",
    [
        json.dumps({"type": "FeatureCollection", "bbox": [1, 2], "features": FEATURES}),
        json.dumps({"features": FEATURES, "type": "FeatureCollection"}, indent=1),
        json.dumps({"features": FEATURES}),
        json.dumps(FEATURES),
        "\n".join(map(json.dumps, FEATURES[:-1])) + json.dumps([7]),
        "".join(f"\x1e{json.dumps(each)}\n" for each in FEATURES[:-1]) + "[7]",
    ],
    ids=["collection", "type last", "no type", "array", "lines", "sequence"],
)
def test_geojson_is_points_and_lines_with_times(document: str) -> None:
    assert shown("geojson", document) == FOUND


def test_geojson_positions_of_a_line_have_places() -> None:
    assert places("geojson", json.dumps(FEATURES[2:4])) == [
        "[0], position 0",
        "[0], position 1",
        "[1], position 0",
        "[1], position 1",
        "[1], position 2",
    ]


def test_overland_is_batches_of_features() -> None:
    properties = {"timestamp": "2017-01-01T13:05:12-0500", "horizontal_accuracy": 5, "speed": -1}
    batch = {"locations": [feature(point(-74, 40.7), **properties)], "current": {}}
    text = f"{json.dumps(batch)}\n{json.dumps(batch)}"
    assert shown("overland", text, MINE) == [{**FIRST, "accuracy": 5.0}] * 2
    named = FieldMapping({"accuracy": "speed"}, DEFAULTS)
    assert shown("overland", text, named)[0]["accuracy"] == -1


def test_actions_and_trips_of_overland_are_skipped() -> None:
    others = [{"action": "visit"}, {"type": "trip"}]
    batch = {"locations": [feature(point(-74, 40.7), **each) for each in others]}
    assert found("overland", json.dumps(batch)) == ["skipped action", "skipped trip"]


MESSAGE = {
    "_type": "location", "tst": 1483293912, "lat": 40.7, "lon": -74, "acc": 5, "vel": 36,
    "tid": "t", "inregions": ["home"],
}  # fmt: skip
WAYPOINT = {"_type": "waypoint", "tst": 1483293912}
REC = "2017-01-01T18:05:12Z\t{}                 \t{}"


@pytest.mark.parametrize(
    "text",
    [
        f"{REC.format('*', json.dumps(MESSAGE))}\n{REC.format('w', json.dumps(WAYPOINT))}\n",
        json.dumps([MESSAGE, WAYPOINT]),
        json.dumps({"count": 2, "data": [MESSAGE, WAYPOINT], "status": 200}),
        f"{json.dumps(MESSAGE)}\n{json.dumps(WAYPOINT)}\n",
    ],
    ids=["rec", "array", "recorder", "lines"],
)
def test_owntracks_is_its_location_messages_with_speeds_in_kilometres_an_hour(text: str) -> None:
    mapping = FieldMapping({"user_id": "tid"})
    assert shown("owntracks", text, mapping) == [
        {**HERE, "timestamp": INSTANT, "speed": 10.0, "user_id": "t"},
        "skipped message of type waypoint",
    ]


@pytest.mark.parametrize(
    "text",
    [
        REC.format("*", '{"tst": 1483293912}'),
        '[{"tst": 1483293912}]',
        '{"count": 1, "data": [{"data": 7}]}',
        "{}",
        f"{json.dumps(WAYPOINT)}\n{{}}",
    ],
    ids=["rec", "array", "recorder", "object", "lines"],
)
def test_owntracks_messages_without_a_type_are_rejected(text: str) -> None:
    assert found("owntracks", text)[-1] == "the message has no _type"


def test_owntracks_lines_that_are_not_json_are_rejected() -> None:
    assert found("owntracks", REC.format("*", "{oops")) == [
        "not JSON: expecting property name enclosed in double quotes (column 2)"
    ]


def test_geolife_has_six_header_lines_and_times_in_utc() -> None:
    header = "Geolife trajectory\nWGS 84\nAltitude is in Feet\nReserved 3\n0,2,255,My\n0\n"
    text = header + "40.7,-74,0,492,40097.5,2017-01-01,18:05:12\n40.7,-74\n"
    assert shown("geolife", text) == [FIRST, "it has 2 cells instead of 7"]
    assert places("geolife", text) == ["line 7", "line 8"]


E7 = {"latitudeE7": 407000000, "longitudeE7": -740000000}
GOOGLE_HERE = {"lat": 40.7, "long": -74.0, "user_id": "a1"}
RECORDS = {
    "somePointsTruncated": True,
    "locations": [
        {**E7, "accuracy": 5, "velocity": 2, "timestamp": TIMES[0], "source": "WIFI"},
        {**E7, "accuracy": 5, "velocity": -1, "timestampMs": "1483293912345", "activity": [{}]},
        {**E7, "longitudeE7": 2**32 - 740000000, "timestamp": TIMES[0]},
        {"accuracy": 5, "timestamp": TIMES[0]},
        7,
    ],
}
ANDROID = {
    "semanticSegments": [
        {
            "startTime": "2017-01-01T13:00:00.000-05:00",
            "timelinePath": [
                {"point": "40.7°, -74.0°", "time": "2017-01-01T13:05:12.000-05:00"},
                {"point": "40.7°, -74.0°", "durationMinutesOffsetFromStartTime": "5"},
                {"point": "nowhere", "time": TIMES[0]},
                {"point": "40.7°, -74.0°"},
                7,
            ],
        },
        {"startTime": TIMES[0], "visit": {"probability": 0.5}},
        {"startTime": TIMES[0], "timelineMemory": {}},
        {"timelinePath": 7},
    ],
    "rawSignals": [
        {
            "position": {
                "LatLng": "40.7°, -74.0°",
                "accuracyMeters": 13,
                "timestamp": "2017-01-01T13:05:12.000-05:00",
                "speedMetersPerSecond": 0.5,
            }
        },
        {"wifiScan": {"deliveryTime": TIMES[0]}},
    ],
    "userLocationProfile": {"frequentPlaces": []},
}
IPHONE = [
    {
        "startTime": "2017-01-01T11:35:12-05:00",
        "timelinePath": [{"point": "geo:40.7,-74.0", "durationMinutesOffsetFromStartTime": "90"}],
    },
    {"startTime": TIMES[0], "activity": {"start": "geo:1,2", "end": "geo:1,2"}},
]
RAW_PATH = {
    "points": [
        {"latE7": 407000000, "lngE7": -740000000, "accuracyMeters": 5, "timestamp": TIMES[0]}
    ]
}
MONTH = {
    "timelineObjects": [
        {"activitySegment": {"simplifiedRawPath": RAW_PATH}},
        {"placeVisit": {"simplifiedRawPath": RAW_PATH}},
        {"activitySegment": {}},
        {"placeVisit": {"location": {"latitudeE7": 1}}},
    ]
}


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        (
            RECORDS,
            [
                {**GOOGLE_HERE, "timestamp": INSTANT, "accuracy": 5.0, "speed": 2.0},
                {**GOOGLE_HERE, "timestamp": "2017-01-01T18:05:12.345000+00:00", "accuracy": 5.0},
                {**GOOGLE_HERE, "timestamp": INSTANT},
                {"timestamp": INSTANT, "accuracy": 5.0, "user_id": "a1"},
                "not as Google writes it: it is not a JSON object",
            ],
        ),
        (
            ANDROID,
            [
                {**GOOGLE_HERE, "timestamp": INSTANT},
                {**GOOGLE_HERE, "timestamp": "2017-01-01T18:05:00+00:00"},
                {"timestamp": INSTANT, "user_id": "a1"},
                GOOGLE_HERE,
                {"user_id": "a1"},
                "skipped visit",
                "skipped memory",
                "not as Google writes it: timelinePath is not an array",
                {**GOOGLE_HERE, "timestamp": INSTANT, "accuracy": 13.0, "speed": 0.5},
                "skipped signal without a position",
            ],
        ),
        (IPHONE, [{**GOOGLE_HERE, "timestamp": INSTANT}, "skipped activity"]),
        (
            MONTH,
            [
                {**GOOGLE_HERE, "timestamp": INSTANT, "accuracy": 5.0},
                {**GOOGLE_HERE, "timestamp": INSTANT, "accuracy": 5.0},
                "skipped activity",
                "skipped visit",
            ],
        ),
    ],
    ids=["records", "android", "iphone", "month"],
)
def test_google_history_yields_measured_positions_only(document: Any, wanted: list[Any]) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=2)
    assert shown("google", text, ONE_USER) == wanted


def test_google_s_numbers_may_be_users_and_text() -> None:
    record = {**E7, "latitudeE7": "407000000", "deviceTag": -970000001, "timestamp": TIMES[0]}
    mapping = FieldMapping({"user_id": "deviceTag"})
    assert shown("google", json.dumps({"locations": [record]}), mapping) == [
        {**GOOGLE_HERE, "timestamp": INSTANT, "user_id": "-970000001"}
    ]


@pytest.mark.parametrize(
    ("form", "document", "field"),
    [
        ("google", {"locations": [{**E7, "latitudeE7": True, "timestamp": TIMES[0]}]}, "lat"),
        ("google", {"locations": [{**E7, "latitudeE7": "4_0", "timestamp": TIMES[0]}]}, "lat"),
        ("google", {"locations": [{**E7, "velocity": True, "timestamp": TIMES[0]}]}, "speed"),
        ("google", {"locations": [{**E7, "timestampMs": True}]}, "timestamp"),
        (
            "google",
            [
                {
                    "startTime": TIMES[0],
                    "timelinePath": [
                        {"point": "40.7, -74", "durationMinutesOffsetFromStartTime": True}
                    ],
                }
            ],
            "timestamp",
        ),
        ("owntracks", [{**MESSAGE, "tst": True}], "timestamp"),
        ("owntracks", [{**MESSAGE, "lat": True}], "lat"),
        ("owntracks", [{**MESSAGE, "vel": True}], "speed"),
        ("overland", {"locations": [feature(point(True, 40.7), timestamp=TIMES[0])]}, "long"),
        ("geojson", [feature(point(True, 40.7), timestamp=TIMES[0])], "long"),
        ("json", [{**FIX, "user_id": True}], "user_id"),
    ],
)
def test_what_is_not_a_number_is_rejected(form: str, document: Any, field: str) -> None:
    (row,) = read(form, json.dumps(document))
    assert isinstance(row, Row)
    fault = judge(row)
    assert isinstance(fault, InvalidFix)
    assert list(fault.fields) == [field]


POINT = '<trkpt lat="40.7" lon="-74.0"><time>2017-01-01T18:05:12Z</time></trkpt>\n'
TRACK = "<gpx><trk><trkseg>\n"
LOCATIONS = '{"locations": [{"latitudeE7": 1}, {"latitudeE7": 1}, '


@pytest.mark.parametrize(
    ("form", "text", "count", "message"),
    [
        ("csv", HEADER + LINE + '"2017' + "\n" * 200, 1, "line 3: a quotation mark is not"),
        ("csv", HEADER + LINE + "x" * 70_000, 1, "line 3 has more than 65,536 characters"),
        ("gpx", TRACK + POINT + POINT + "<trkpt></trk>", 2, "line 4: mismatched tag"),
        ("gpx", TRACK + POINT, 1, "line 3: no element found"),
        ("google", LOCATIONS + "oops", 2, 'line 1: not JSON: expecting value, found "oops"'),
        ("google", LOCATIONS, 2, "line 1: not JSON: expecting value, the file ends there"),
        ("google", LOCATIONS + "{}]", 3, "line 1: not JSON: , or } was expected, the file ends"),
        ("google", '{"locations": [[1}', 0, "line 1: not JSON: expecting ',' delimiter, found"),
        ("json", "[{}] ]", 1, 'line 1: not JSON: expecting value, found "]"'),
        ("json", "{1: 2}", 0, "line 1: not JSON: a key in double quotes was expected"),
        ("google", '{"userLocationProfile": {}}', 0, "it has none of locations, semanticSegments"),
        ("geojson", '{"features": {}}', 0, "line 1: neither a GeoJSON feature nor a collection"),
        ("geojson", '{"type": "Point"}', 0, "line 1: neither a GeoJSON feature nor a collection"),
    ],
)
def test_a_broken_file_is_reported_after_the_rows_before_the_break(
    form: str, text: str, count: int, message: str
) -> None:
    rows: list[Any] = []
    with pytest.raises(BrokenFile) as caught:
        rows.extend(iter_read(form, text))
    assert len(rows) == count
    assert str(caught.value).startswith(message)

"""A small file of each kind that docs/IMPORT.md names, with one fix or a few."""

import gzip
import io
import json
import zipfile
from typing import Any

TIME = "2024-06-15T10:30:00Z"
EPOCH = 1718447400
GPX = (
    '<gpx><wpt lat="1" lon="2"/><trk><name>{name}</name><trkseg><trkpt lat="52.5" lon="13.4">'
    "<time>{time}</time><hdop>8</hdop><extensions><osmand:speed>1.5</osmand:speed></extensions>"
    "</trkpt></trkseg></trk></gpx>"
)
RECORD = {"latitudeE7": 525000000, "longitudeE7": 134000000, "accuracy": 9, "timestamp": TIME}
SEGMENT = {
    "startTime": "2024-06-15T12:00:00+02:00",
    "timelinePath": [{"point": "geo:52.5,13.4", "durationMinutesOffsetFromStartTime": "30"}],
}
MESSAGE = {"_type": "location", "tst": EPOCH, "lat": 52.5, "lon": 13.4, "vel": 36, "tid": "ph"}


def _gpx(name: str = "x", time: str = TIME) -> str:
    return GPX.format(name=name, time=time)


def _feature(coordinates: list[Any], **properties: Any) -> dict[str, Any]:
    geometry = {"type": "Point", "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _zip(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


# Each file of the page's commands, and how many fixes are in it.
SOURCES: dict[str, tuple[str | bytes, int]] = {
    "Timeline.json": (json.dumps({"semanticSegments": [SEGMENT, {"visit": {}}]}, indent=2), 1),
    "location-history.json": (json.dumps([{"visit": {}}, SEGMENT]), 1),
    "takeout-20240615.zip": (
        _zip(
            {
                "Takeout/Mail/All.json": '[{"lat": 1}]',
                "Takeout/Location History/Records.json": json.dumps({"locations": [RECORD]}),
                "Takeout/Location History/Semantic/2024_JUNE.json": json.dumps(
                    {"timelineObjects": [{"placeVisit": {}}]}
                ),
            }
        ),
        1,
    ),
    "Records.json": (json.dumps({"locations": [RECORD, {**RECORD, "velocity": 3}]}), 2),
    "devices.json": (json.dumps({"locations": [{**RECORD, "deviceTag": -97}]}), 1),
    "rec/ann/phone/2024-06.rec": (f"{TIME}\t*                 \t{json.dumps(MESSAGE)}\n", 1),
    "locations.json": (json.dumps({"count": 1, "data": [MESSAGE]}), 1),
    "overland.json": (
        json.dumps(
            {
                "locations": [
                    _feature([13.4, 52.5], timestamp=TIME, horizontal_accuracy=5, device_id="o")
                ]
            }
        ),
        1,
    ),
    "tc_positions.csv": (
        "id,deviceId,serverTime,fixTime,valid,latitude,longitude,speed,accuracy\n"
        "1,7,2024-06-15 10:30:05,2024-06-15 10:30:00,true,52.5,13.4,10.0,0\n",
        1,
    ),
    "positions.json": (
        json.dumps(
            [
                {
                    "deviceId": 7,
                    "fixTime": "2024-06-15T10:31:00.000+00:00",
                    "latitude": 52.5,
                    "longitude": 13.4,
                    "speed": 10,
                    "accuracy": 5,
                    "attributes": {"distance": 3},
                }
            ]
        ),
        1,
    ),
    "gpslogger.csv": (
        "time,lat,lon,elevation,accuracy,bearing,speed,satellites,provider\n"
        "2024-06-15T10:30:00.000Z,52.5,13.4,30,8,,,7,gps\n",
        1,
    ),
    "phonetrack.gpx": (_gpx(name="phone"), 1),
    "dawarich.json": (
        json.dumps(
            {
                "type": "FeatureCollection",
                "features": [
                    _feature(["13.4", "52.5"], timestamp=EPOCH, velocity="1.4", accuracy=8)
                ],
            }
        ),
        1,
    ),
    "activities/1.gpx.gz": (gzip.compress(b"   " + _gpx().encode()), 1),
    "activities/2.gpx.gz": (gzip.compress(_gpx(time="2024-06-15T10:32:00Z").encode()), 1),
    "tracks/rec/2024-06-15.gpx": (_gpx(), 1),
    "activity_1.gpx": (_gpx(), 1),
    "activity_2.tcx": (
        f"<TrainingCenterDatabase><Trackpoint><Time>{TIME}</Time><Position><LatitudeDegrees>52.5"
        "</LatitudeDegrees><LongitudeDegrees>13.4</LongitudeDegrees></Position></Trackpoint>"
        "</TrainingCenterDatabase>",
        1,
    ),
    "tracks.kml": (
        f"<kml><Placemark><gx:Track><when>{TIME}</when><gx:coord>13.4 52.5 3</gx:coord></gx:Track>"
        "</Placemark></kml>",
        1,
    ),
    "Data/000/Trajectory/20240615103000.plt": (
        "Geolife trajectory\nWGS 84\nAltitude is in Feet\nReserved 3\n0,2,255,My Track,0\n0\n"
        "52.5,13.4,0,492,45458.4375,2024-06-15,10:30:00\n",
        1,
    ),
    "data.csv": ("id;datetime;latitude;longitude;speed\n1;2024-06-15 10:30;52,5;13,4;36,0\n", 1),
    "log.ndjson": (f'{{"device": 7, "ts": "{EPOCH}", "y": 52.5, "x": "13.4", "battery": 3}}\n', 1),
    "minutes.csv": (
        f"user_id,minute,count,lat,long,accuracy,speed\nann,{TIME},3,52.5,13.4,5,1.5\n",
        1,
    ),
    "fixes.ndjson.gz": (
        gzip.compress(
            b'{"timestamp": "2024-06-15 12:30:00", "lat": 52.5, "long": 13.4, "accuracy": 5, '
            b'"speed": 1, "user_id": "ann"}\n'
        ),
        1,
    ),
}

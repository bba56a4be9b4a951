"""A naive endpoint: Flask, a new Validator and an insert for each request."""

import os
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cerberus import Validator
from flask import Flask, request
from pymongo import MongoClient, WriteConcern
from pymongo.errors import DuplicateKeyError
from timezonefinder import TimezoneFinder

SCHEMA = {
    "timestamp": {"type": "string", "required": True},
    "lat": {"type": "float", "min": -90, "max": 90, "required": True},
    "long": {"type": "float", "min": -180, "max": 180, "required": True},
    "accuracy": {"type": "number", "min": 0, "required": True},
    "speed": {"type": "number", "min": 0, "required": True},
    "user_id": {"type": "string", "minlength": 1, "maxlength": 128, "required": True},
}


def create_app() -> Flask:
    """Return the application; call it after the fork."""
    app = Flask(__name__)
    finder = TimezoneFinder(in_memory=True)
    client: MongoClient[dict[str, Any]] = MongoClient(os.environ["MONGODB_URI"])
    fixes = client["naive"].get_collection(
        "fixes", write_concern=WriteConcern(w="majority", j=True)
    )

    @app.put("/location")
    def put_location() -> Any:
        fix = request.get_json()
        validator = Validator(SCHEMA)
        if not validator.validate(fix):
            return {"error": validator.errors}, 400
        tz = finder.timezone_at(lat=fix["lat"], lng=fix["long"])
        wall = datetime.strptime(fix["timestamp"], "%Y-%m-%d %H:%M:%S.%f")  # noqa: DTZ007
        fix_time = wall.replace(tzinfo=ZoneInfo(str(tz))).astimezone(UTC)
        document = {**fix, "_id": f"{fix['user_id']} {fix['timestamp']}", "fix_time": fix_time}
        try:
            fixes.insert_one(document)
        except DuplicateKeyError:
            return {"status": "duplicate", "tz": tz}
        return {"status": "stored", "fix_time": fix_time.isoformat(), "tz": tz}

    return app

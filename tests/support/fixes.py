"""Fixes, as a phone sends them and as the database keeps them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Timestamp
from pymongo.database import Database

from locapi.fixes import averages, ids
from locapi.rollup import aggregation
from locapi.storage import changes
from locapi.storage.documents import Document
from tests.conftest import a_fix

BASE = datetime(2017, 1, 1, 18, 5, tzinfo=UTC)


def fix(**fields: Any) -> bytes:
    """Return the body of a request with a valid fix, with some fields changed."""
    return json.dumps(a_fix(**fields)).encode()


def raw(ms: int = 0, user_id: str = "a1", *, utc_offset: int = -18_000, **values: Any) -> Document:
    """Return a raw fix `ms` milliseconds after BASE."""
    time = BASE + timedelta(milliseconds=ms)
    wall = time.replace(tzinfo=None) + timedelta(seconds=utc_offset)
    return {
        "_id": ids.fix_id(user_id, wall),
        "minute_id": ids.minute_id(user_id, time),
        "seen_code": ids.seen_code(time, utc_offset),
        "received_at": Timestamp(0, 0),
        "slice": ids.slice_of(user_id),
        "lat": 40.0,
        "long": -74.0,
        "accuracy": 5.0,
        "speed": 1.0,
        **values,
        **averages.markers(values.get("accuracy", 5.0), values.get("speed", 1.0)),
    }


def fold_alone(db: Database[Document], *fix_ids: str) -> None:
    """Fold these fixes, and leave those that their minutes note as missing."""
    with changes.marked(db) as mark:
        db.fixes.aggregate(aggregation.fold({"_id": {"$in": fix_ids}}, mark))

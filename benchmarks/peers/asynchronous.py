"""An asynchronous endpoint: FastAPI, pydantic and an insert for each request."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import FastAPI
from pydantic import BaseModel, Field
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError
from timezonefinder import TimezoneFinder

finder = TimezoneFinder(in_memory=True)
fixes: AsyncCollection[dict[str, Any]]


class Fix(BaseModel):
    """What a phone sends."""

    timestamp: datetime
    lat: Annotated[float, Field(ge=-90, le=90)]
    long: Annotated[float, Field(ge=-180, le=180)]
    accuracy: Annotated[float, Field(ge=0)]
    speed: Annotated[float, Field(ge=0)]
    user_id: Annotated[str, Field(min_length=1, max_length=128)]


@asynccontextmanager
async def connected(_: FastAPI) -> AsyncIterator[None]:
    """Keep the client while the application runs."""
    global fixes
    async with AsyncMongoClient[dict[str, Any]](os.environ["MONGODB_URI"]) as client:
        fixes = client["asynchronous"].get_collection(
            "fixes", write_concern=WriteConcern(w="majority", j=True)
        )
        yield


app = FastAPI(lifespan=connected)


@app.put("/location")
async def put_location(fix: Fix) -> dict[str, Any]:
    """Take one fix."""
    tz = finder.timezone_at(lat=fix.lat, lng=fix.long)
    fix_time = fix.timestamp.replace(tzinfo=ZoneInfo(str(tz))).astimezone(UTC)
    document = {
        **fix.model_dump(),
        "_id": f"{fix.user_id} {fix.timestamp.isoformat()}",
        "fix_time": fix_time,
    }
    try:
        await fixes.insert_one(document)
    except DuplicateKeyError:
        return {"status": "duplicate", "tz": tz}
    return {"status": "stored", "fix_time": fix_time.isoformat(), "tz": tz}

"""Minutes, as the database keeps them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from locapi.storage.documents import Document

NOON = datetime(2017, 1, 1, 12, tzinfo=UTC)
HOSTILE = "</script><script>alert(1)</script><!--<script>\u2028&amp;{{data}}"


def minute(user_id: str = "a1", after: int = 0, **fields: Any) -> Document:
    """Return a minute, so many minutes after noon."""
    time = (NOON + timedelta(minutes=after)).isoformat()[:16]
    document = {"lat": 40.7, "long": -74.0, "accuracy": 5.0, "speed": 1.5, "count": 3, **fields}
    return {"_id": f"{user_id}\t{time}", **document}

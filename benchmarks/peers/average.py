"""A naive roll-up: fast, and wrong for every late or repeated fix."""

from typing import Any

from locapi.storage.documents import Document

MINUTES = "average_minutes"


def pipeline(which: Document) -> list[Document]:
    """Return the aggregation over `fixes` that overwrites minutes with averages of those given."""
    minute = {"$dateTrunc": {"date": "$fix_time", "unit": "minute"}}
    averages: dict[str, Any] = {
        name: {"$avg": f"${name}"} for name in ("lat", "long", "accuracy", "speed")
    }
    return [
        {"$match": which},
        {
            "$group": {
                "_id": {"user_id": "$user_id", "minute": minute},
                **averages,
                "count": {"$sum": 1},
            }
        },
        {"$merge": {"into": MINUTES, "whenMatched": "replace", "whenNotMatched": "insert"}},
    ]

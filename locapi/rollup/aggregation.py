"""Fold raw fixes into minutes by an aggregation of MongoDB.

A minute's `seen` has the seen codes of the fixes that it counts. A fold of fixes of which `seen`
has none adds their sums; of which it has all, changes nothing; of which it has some, notes the
others as `missing`, and these are folded again by their ids. Each is one atomic update of one
document, so crashes, repeats and rivals affect speed, not correctness.

MongoDB parses the update again for each minute, also if it then inserts the minute. Minutes that
are all new are inserted without one, in a fraction of the time.
"""

from datetime import datetime
from typing import Any

from locapi.fixes import averages
from locapi.storage.documents import MINUTES, Document

# More than the 60,000 milliseconds that a minute of one phone has, and far from the 16 MB at which
# a document ends. A minute with more fixes goes into quarantine.
MAX_MINUTE_FIXES = 100_000

Expression = dict[str, Any]


def fold(which: Document, mark: datetime, max_fixes: int = MAX_MINUTE_FIXES) -> list[Document]:
    """Return the aggregation over `fixes` that folds those that match `which` into `minutes`.

    The minutes that it changes get the mark. It fails if one would count more than `max_fixes`.
    """
    matched = [{"$replaceWith": _when_matched(max_fixes)}, {"$set": averages.average_expression()}]
    merge = {
        "into": MINUTES,
        "whenMatched": matched,
        "whenNotMatched": "insert",
    }
    return [*make_minutes(which, mark, max_fixes), {"$merge": merge}]


def insert(which: Document, mark: datetime, max_fixes: int) -> list[Document]:
    """Return the aggregation that folds into new minutes; it fails at the first that exists."""
    merge = {"into": MINUTES, "whenMatched": "fail", "whenNotMatched": "insert"}
    return [*make_minutes(which, mark, max_fixes), {"$merge": merge}]


def make_minutes(which: Document, mark: datetime, max_fixes: int) -> list[Document]:
    """Return the aggregation over `fixes` that makes minutes of those that match `which`."""
    seen = {"seen": {"$push": "$seen_code"}}
    return [
        {"$match": which},
        {"$group": {"_id": "$minute_id", **averages.state_expression(), **seen}},
        {"$sort": {"_id": 1}},  # so that `minutes` and its index on marks are written in order
        {"$set": {**_named(max_fixes), "changed_at": mark}},
        {"$set": averages.average_expression()},
    ]


def _named(max_fixes: int) -> Expression:
    """Return the fields of a minute that its id and `seen` contain."""
    user_id, minute = ({"$arrayElemAt": [{"$split": ["$_id", "\t"]}, i]} for i in (0, 1))
    return {
        "user_id": user_id,
        "count": _at_most(max_fixes, {"$size": "$seen"}),
        **averages.known_expression({"$size": "$seen"}),
        "minute": {
            "$dateFromString": {
                "dateString": {"$ifNull": [minute, ""]},  # without a time it fails, not null
                # Without it mongod looks for a zone in the string, which takes as long as the rest.
                "format": "%Y-%m-%dT%H:%M",
            }
        },
    }


def _at_most(max_fixes: int, count: Expression) -> Expression:
    """Return a count that makes the aggregation fail if it is too large: no id is a number."""
    return {"$cond": [{"$lte": [count, max_fixes]}, count, {"$toInt": "$_id"}]}


def _when_matched(max_fixes: int) -> Expression:
    """Return what becomes of a minute that meets `$$new`, a minute made of some fixes.

    Its length is a good part of what a fold costs.
    """
    none_seen = {"$eq": [{"$setIntersection": ["$$new.seen", "$seen"]}, []]}
    missing = {"missing": _with_missing()}
    return {"$mergeObjects": ["$$ROOT", {"$cond": [none_seen, _both(max_fixes), missing]}]}


def _both(max_fixes: int) -> Expression:
    state = averages.merge_expression("$$new")
    return {
        **state,
        "count": _at_most(max_fixes, state["count"]),
        "seen": {"$concatArrays": ["$seen", "$$new.seen"]},
        "changed_at": "$$new.changed_at",
    }


def _with_missing() -> Expression:
    # Without a limit: what is missing is folded next, and that fails if it is too much.
    more = {
        "$setUnion": [{"$ifNull": ["$missing", []]}, {"$setDifference": ["$$new.seen", "$seen"]}]
    }
    return {"$cond": [{"$setIsSubset": ["$$new.seen", "$seen"]}, "$missing", more]}

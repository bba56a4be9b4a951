"""`POST /locations`: store many fixes of one request."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from locapi.api import batches
from locapi.api.responses import ApiResponse, utc_text
from locapi.api.services import get_services
from locapi.errors import Forbidden, InvalidFix
from locapi.fixes import relaxed, strict_json
from locapi.fixes.validation import Fix
from locapi.ingest.rejects import Reject, known_user
from locapi.ingest.store import FixStore, Receipt

Judged = Fix | InvalidFix | Forbidden
Outcome = Receipt | InvalidFix | Forbidden


def post_locations() -> ApiResponse:
    """Store the fixes of a request, and respond with a result for each."""
    services = get_services()
    user_id = services.authenticated_user()
    documents = batches.decode(batches.read_body())
    outcomes = store(services.fixes, [_judge(each, user_id) for each in documents])
    services.error_log("post_locations").succeeded()
    counted = Counter(map(status, outcomes))
    if services.keeps_all_rejects:
        services.rejects.keep("locations", list(_rejects(documents, outcomes)))
    services.metrics.received("locations", counted)
    counts = {status: counted[status] for status in ("stored", "duplicate", "invalid", "forbidden")}
    results = list(map(_result, outcomes))
    body = orjson.dumps({**counts, "results": results}, option=orjson.OPT_APPEND_NEWLINE)
    return ApiResponse(body, content_type="application/json")


def store(fixes: FixStore, judged: Sequence[Judged]) -> list[Outcome]:
    """Store the valid fixes in order; return what became of each, valid or not."""
    outcomes = iter(fixes.put_many([each for each in judged if isinstance(each, Fix)]))
    return [next(outcomes) if isinstance(each, Fix) else each for each in judged]


def status(outcome: Outcome) -> str:
    """Return what became of a fix, in a word."""
    if isinstance(outcome, Receipt):
        return outcome.status
    return "forbidden" if isinstance(outcome, Forbidden) else "invalid"


def _rejects(documents: Sequence[Any], outcomes: Sequence[Outcome]) -> Iterator[Reject]:
    for document, outcome in zip(documents, outcomes, strict=True):
        if isinstance(outcome, InvalidFix):
            named = document.get("user_id") if isinstance(document, dict) else None
            content = str(outcome) if isinstance(document, InvalidFix) else document
            yield Reject(known_user(named), content, outcome)


def _judge(document: Any, user_id: str | None) -> Judged:
    if isinstance(document, InvalidFix):
        return document
    if not isinstance(document, dict):
        return strict_json.not_an_object(document, "the fix")
    try:
        fix = relaxed.judge(document)
    except InvalidFix as fault:
        return fault
    if user_id is not None and fix.user_id != user_id:
        return Forbidden("this token belongs to another user_id")
    return fix


def _result(outcome: Outcome) -> dict[str, Any]:
    result: dict[str, Any] = {"status": status(outcome)}
    if isinstance(outcome, Receipt):
        return {**result, "fix_time": utc_text(outcome.fix_time), "tz": outcome.tz}
    if isinstance(outcome, InvalidFix):
        return {**result, "message": str(outcome), "fields": outcome.fields}
    return result

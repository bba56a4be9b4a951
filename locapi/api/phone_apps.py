"""Store what phone apps send that treat an invalid fix like a failure.

Such an app sends a refused fix again for ever. So what cannot be accepted is kept as a reject,
and the answer is the same.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from flask import request

from locapi.api import locations
from locapi.api.services import get_services
from locapi.errors import InvalidFix
from locapi.fixes import relaxed
from locapi.fixes.validation import Fix
from locapi.ingest.rejects import Reject, known_user


class Sent(NamedTuple):
    """What an app sent as one fix, its user as named, and the fields of a fix that it means."""

    content: Any
    user_id: Any
    fields: dict[str, Any] | InvalidFix


def user_id() -> str | None:
    """Return the user of the token, or of the URL's `user`, if there is one."""
    return get_services().authenticated_user(basic=True) or request.args.get("user")


def keep(endpoint: str, sent: Sequence[Sent]) -> None:
    """Store what was sent, as fixes or as rejects; return when all is on disk."""
    services = get_services()
    judged = [_judge(each.fields) for each in sent]
    outcomes = locations.store(services.fixes, judged)
    pairs = list(zip(sent, outcomes, strict=True))
    services.rejects.keep(endpoint, list(_rejects(pairs)))
    services.error_log(request.endpoint).succeeded()
    services.metrics.received(endpoint, Counter(locations.status(each) for each in outcomes))


def _judge(fields: dict[str, Any] | InvalidFix) -> Fix | InvalidFix:
    if isinstance(fields, InvalidFix):
        return fields
    try:
        return relaxed.judge(fields)
    except InvalidFix as fault:
        return fault


def _rejects(pairs: Sequence[tuple[Sent, Any]]) -> Iterator[Reject]:
    for sent, outcome in pairs:
        if isinstance(outcome, InvalidFix):
            yield Reject(known_user(sent.user_id), sent.content, outcome)

"""Keep rejected rows as JSON, none of them large, and write them to a file."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from locapi.errors import InvalidFix
from locapi.importers import reasons

if TYPE_CHECKING:
    from locapi.importers.pipeline import Outcome

_MAX_TEXT = 8 * 1024
_MAX_STRING = 1_000
_MAX_ITEMS = 100
_MAX_DEPTH = 10
_CUT = "…"


def as_json(content: Any) -> str:
    """Return what stands in a row as JSON; what is long is cut."""
    text = json.dumps(_shortened(content), default=str)
    return text if len(text) <= _MAX_TEXT else json.dumps(text[:_MAX_TEXT] + _CUT)


def _shortened(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _MAX_STRING else value[:_MAX_STRING] + _CUT
    if not isinstance(value, dict | list):
        return value
    if depth == _MAX_DEPTH:
        return _CUT
    if isinstance(value, list):
        items = [_shortened(each, depth + 1) for each in value[:_MAX_ITEMS]]
        return items if len(value) <= _MAX_ITEMS else [*items, _CUT]
    pairs = islice(value.items(), _MAX_ITEMS)
    return {key[:_MAX_STRING]: _shortened(each, depth + 1) for key, each in pairs}


def lines(file: str, outcomes: Iterable["Outcome"]) -> Iterator[str]:
    """Yield a line of JSON for each rejected row of a file."""
    for outcome in outcomes:
        if isinstance(outcome.verdict, InvalidFix):
            reason = "; ".join(reasons.reasons(outcome.verdict))
            head = json.dumps({"file": file, "place": outcome.place, "reason": reason})
            yield f'{head[:-1]}, "row": {outcome.content}}}\n'

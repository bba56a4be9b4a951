"""HTTP in, HTTP out: the only place that knows status codes."""

import itertools
import logging
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, cast

import pymongo
from flask import Flask, Response, current_app, jsonify, request
from pymongo.database import Database
from werkzeug.exceptions import HTTPException

from locapi import backlog, docs_page, greenlets, logs, mongo, openapi, schema
from locapi.errors import (
    RETRY_AFTER_S,
    DatabaseUnavailable,
    Forbidden,
    InvalidFix,
    LocapiError,
    Overloaded,
    Unauthorized,
)
from locapi.fixes import FixStore
from locapi.incidents import Incidents
from locapi.metrics import Metrics
from locapi.mongo import Document
from locapi.schema import Fix
from locapi.tokens import Gate

HEALTH_DEADLINE_S = 2
CHALLENGE = 'Bearer realm="locapi"'  # RFC 6750, 3: the scheme never stands alone

_OPENAPI = openapi.text()
_DOCS = docs_page.html()
_DOCS_HEADERS = docs_page.headers()
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_log = logging.getLogger(__name__)


class Answer(Response):
    """A response that says in a word what became of the request, for the metrics."""

    verdict = "ok"  # or a receipt's status, or an error's code


def install(
    app: Flask,
    database: Database[Document],
    metrics: Metrics,
    now: Callable[[], datetime],
    gate: Gate | None,
) -> None:
    """Add the endpoints, on this database and clock, and JSON answers for every error.

    With a gate, who puts a fix must bear a token of its user.
    """
    puts = Incidents(_log, "PUT /location")
    app.extensions["locapi"] = {
        "database": database,
        "fixes": FixStore(database, now, metrics),
        "gate": gate,
        "metrics": metrics,
        "puts": puts,
        "incidents": {
            "put_location": puts,
            "get_health": Incidents(_log, "GET /health"),
            "get_metrics": Incidents(_log, "GET /metrics"),
        },
        "other_incidents": Incidents(_log, "another request"),
    }
    app.before_request(partial(_begin, _request_ids()))
    app.after_request(_finish)
    put = put_location if gate is None else put_own_location
    app.add_url_rule("/location", "put_location", put, methods=["PUT"])
    app.add_url_rule("/health", view_func=get_health, methods=["GET"])
    app.add_url_rule("/metrics", view_func=get_metrics, methods=["GET"])
    app.add_url_rule("/openapi.json", view_func=get_openapi, methods=["GET"])
    app.add_url_rule("/docs", view_func=get_docs, methods=["GET"])
    app.register_error_handler(InvalidFix, _invalid_fix)
    app.register_error_handler(Unauthorized, _unauthorized)
    app.register_error_handler(Forbidden, _forbidden)
    app.register_error_handler(LocapiError, _failed)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _bug)


def _request_ids() -> Iterator[str]:
    """Yield names for requests, each different from those of all other processes too."""
    process = os.urandom(6).hex()
    # Threads may take names at once, which a generator does not bear.
    return map(f"{process}-{{}}".format, itertools.count(1))


def _begin(ids: Iterator[str]) -> None:
    """Give the request the name under which the log speaks of it: the sender's, or a new one."""
    sent = request.environ.get("HTTP_X_REQUEST_ID")
    usable = sent is not None and _REQUEST_ID.fullmatch(sent)
    logs.request_id.set(sent if usable else next(ids))


def _finish(response: Response) -> Response:
    response.headers.add("X-Request-ID", logs.request_id.get())
    response.headers.add("X-Content-Type-Options", "nosniff")
    logs.request_id.set(None)
    return response


def put_location() -> Answer:
    """Take one fix."""
    return _put(schema.parse(_body()))


def put_own_location() -> Answer:
    """Take one fix of the user whose token the request bears."""
    user_id = _part("gate").sender(request.environ.get("HTTP_AUTHORIZATION"))
    fix = schema.parse(_body())
    if fix.user_id != user_id:
        raise Forbidden("the fix is another user's than the token")
    return _put(fix)


def _put(fix: Fix) -> Answer:
    receipt = _part("fixes").put(fix)
    _part("puts").succeeded()
    # None of the three needs escaping, and the JSON encoder is no small part of a request.
    answer = Answer(
        f'{{"status":"{receipt.status}","fix_time":"{_utc_text(receipt.fix_time)}","tz":"{receipt.tz}"}}\n',
        content_type="application/json",
    )
    answer.verdict = receipt.status
    return answer


def get_health() -> dict[str, str]:
    """Say whether the database answers."""
    _ping(_part("database"))
    _incidents().succeeded()
    return {"status": "ok"}


def get_openapi() -> Response:
    """Say what the API takes and answers."""
    return Response(_OPENAPI, content_type="application/json")


def get_docs() -> Response:
    """Say what the API takes and answers, to a person."""
    return Response(_DOCS, headers=_DOCS_HEADERS)


@greenlets.aside
def _ping(database: Database[Document]) -> None:
    with mongo.translated_errors(), pymongo.timeout(HEALTH_DEADLINE_S):
        database.command("ping")


def get_metrics() -> Answer:
    """Say what was answered since the start, and what is stored, to Prometheus."""
    accept = request.headers.get("Accept", "")
    page, content_type = _metrics_page(accept)
    return Answer(page, content_type=content_type)


@greenlets.aside
def _metrics_page(accept: str) -> tuple[bytes, str]:
    stored = None
    try:
        stored = backlog.read(_part("database"))
    except LocapiError as error:
        _incidents().failed(str(error), str(error))
    else:
        _incidents().succeeded()
    metrics: Metrics = _part("metrics")
    return metrics.page(accept, stored)


def _part(name: str) -> Any:
    return current_app.extensions["locapi"][name]


def _incidents() -> Incidents:
    incidents: Incidents = _part("incidents").get(request.endpoint, _part("other_incidents"))
    return incidents


def _body() -> bytes:
    # As the server hands it over, which has it whole; werkzeug's guards cost a tenth of a request.
    body: bytes = request.environ["wsgi.input"].read(schema.MAX_BODY_BYTES + 1)
    return body


def _utc_text(time: datetime) -> str:
    exact = "milliseconds" if time.microsecond else "seconds"
    return time.replace(tzinfo=None).isoformat(timespec=exact) + "Z"


def _error(status: int, code: str, message: str, **more: Any) -> Answer:
    answer = cast(Answer, jsonify(error={"code": code, "message": message, **more}))
    answer.status_code = status
    answer.verdict = code
    return answer


def _invalid_fix(error: InvalidFix) -> Response:
    return _error(400, "invalid_fix", str(error), fields=error.fields)


def _unauthorized(_: Unauthorized) -> Response:
    # Not why: whether a token exists, or did, is its bearer's business.
    response = _error(401, "unauthorized", "send a valid token: `Authorization: Bearer locapi_…`")
    response.headers["WWW-Authenticate"] = CHALLENGE
    return response


def _forbidden(_: Forbidden) -> Response:
    return _error(403, "forbidden", "this token may not send fixes of that user_id")


def _failed(error: LocapiError) -> Response:
    _incidents().failed(str(error), str(error))
    status = 503 if request.endpoint == "get_health" else 500
    if isinstance(error, Overloaded):
        response = _error(status, "overloaded", "too many fixes at once; try again")
    elif isinstance(error, DatabaseUnavailable):
        response = _error(status, "database_unavailable", "the database is away; try again")
    else:
        return _error(status, "internal_error", "the fault is on this side")
    response.retry_after = RETRY_AFTER_S
    return response


def _http_error(error: HTTPException) -> Response:
    name = (error.name or "error").lower().replace(" ", "_")
    response = _error(error.code or 500, name, error.description or "")
    response.headers.extend(
        (header, value) for header, value in error.get_headers() if header != "Content-Type"
    )
    return response


def _bug(error: Exception) -> Response:
    # Not its message, which may quote a value.
    where = logs.stack(error)
    _incidents().failed(where, f"a bug of ours: {where}")
    return _error(500, "internal_error", "the fault is on this side")

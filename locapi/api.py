"""HTTP in, HTTP out: the only place that knows status codes."""

import logging
from datetime import datetime
from typing import Any

import pymongo
from flask import Flask, Response, current_app, jsonify, request
from pymongo.database import Database
from werkzeug.exceptions import HTTPException

from locapi import greenlets, mongo, schema
from locapi.errors import (
    DatabaseUnavailable,
    Forbidden,
    InvalidFix,
    LocapiError,
    Overloaded,
    Unauthorized,
)
from locapi.fixes import FixStore
from locapi.mongo import Document
from locapi.schema import Fix
from locapi.tokens import Gate

RETRY_AFTER_S = 2
HEALTH_DEADLINE_S = 2
CHALLENGE = 'Bearer realm="locapi"'  # RFC 6750, 3: the scheme never stands alone

_log = logging.getLogger(__name__)


def install(app: Flask, database: Database[Document], gate: Gate | None = None) -> None:
    """Add the endpoints, on this database, and JSON answers for every error.

    With a gate, who puts a fix must bear a token of its user.
    """
    app.extensions["locapi"] = {"database": database, "fixes": FixStore(database), "gate": gate}
    put = put_location if gate is None else put_own_location
    app.add_url_rule("/location", "put_location", put, methods=["PUT"])
    app.add_url_rule("/health", view_func=get_health, methods=["GET"])
    app.register_error_handler(InvalidFix, _invalid_fix)
    app.register_error_handler(Unauthorized, _unauthorized)
    app.register_error_handler(Forbidden, _forbidden)
    app.register_error_handler(LocapiError, _failed)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _bug)


def put_location() -> Response:
    """Take one fix."""
    return _put(schema.parse(_body()))


def put_own_location() -> Response:
    """Take one fix of the user whose token the request bears."""
    user_id = _part("gate").sender(request.environ.get("HTTP_AUTHORIZATION"))
    fix = schema.parse(_body())
    if fix.user_id != user_id:
        raise Forbidden("the fix is another user's than the token")
    return _put(fix)


def _put(fix: Fix) -> Response:
    receipt = _part("fixes").put(fix)
    # None of the three needs escaping, and the JSON encoder is no small part of a request.
    return Response(
        f'{{"status":"{receipt.status}","fix_time":"{_utc_text(receipt.fix_time)}","tz":"{receipt.tz}"}}\n',
        content_type="application/json",
    )


def get_health() -> dict[str, str]:
    """Say whether the database answers."""
    _ping(_part("database"))
    return {"status": "ok"}


@greenlets.aside
def _ping(database: Database[Document]) -> None:
    with mongo.translated_errors(), pymongo.timeout(HEALTH_DEADLINE_S):
        database.command("ping")


def _part(name: str) -> Any:
    return current_app.extensions["locapi"][name]


def _body() -> bytes:
    # As the server hands it over, which has it whole; werkzeug's guards cost a tenth of a request.
    body: bytes = request.environ["wsgi.input"].read(schema.MAX_BODY_BYTES + 1)
    return body


def _utc_text(time: datetime) -> str:
    exact = "milliseconds" if time.microsecond else "seconds"
    return time.replace(tzinfo=None).isoformat(timespec=exact) + "Z"


def _error(status: int, code: str, message: str, **more: Any) -> Response:
    response = jsonify(error={"code": code, "message": message, **more})
    response.status_code = status
    return response


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
    _log.error("%s %s: %s", request.method, request.path, error)
    status = 503 if request.endpoint == "get_health" else 500
    if isinstance(error, Overloaded):
        response = _error(status, "overloaded", "too many fixes at once; try again")
    elif isinstance(error, DatabaseUnavailable):
        response = _error(status, "database_unavailable", "the database does not answer; try again")
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


def _bug(_: Exception) -> Response:
    _log.exception("%s %s failed", request.method, request.path)
    return _error(500, "internal_error", "the fault is on this side")

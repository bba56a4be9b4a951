"""The API's response class, and a JSON response for every error."""

from datetime import datetime
from typing import Any, cast
from wsgiref.types import WSGIEnvironment

from flask import Flask, Response, jsonify, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from locapi import logs
from locapi.api.services import get_services
from locapi.errors import (
    RETRY_AFTER_S,
    DatabaseUnavailable,
    Forbidden,
    InvalidFix,
    InvalidRequest,
    LocapiError,
    MisdirectedRequest,
    Overloaded,
    RequestTimeout,
    TooLarge,
    Unauthorized,
)
from locapi.fixes.display import escaped

CHALLENGE = 'Bearer realm="locapi"'  # RFC 6750, section 3: a challenge has at least one parameter
BASIC_CHALLENGE = 'Basic realm="locapi", charset="UTF-8"'  # RFC 7617

_READ_BY_BROWSERS = ("get_minutes", "get_map")
_DATABASE_UNAVAILABLE = "the database is unavailable; try again later"
_INTERNAL_ERROR = "internal server error"


class ApiResponse(Response):
    """A response with a verdict for the metrics."""

    verdict = "ok"  # or the status of a receipt, or the code of an error

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """Return the headers; those of a usual 200 need no change, which saves time."""
        if self.status_code == 200 and self.is_sequence:
            return self.headers
        return super().get_wsgi_headers(environ)


def utc_text(time: datetime) -> str:
    """Return a UTC time as responses have it, with milliseconds if it is not a whole second."""
    exact = "milliseconds" if time.microsecond else "seconds"
    return time.replace(tzinfo=None).isoformat(timespec=exact) + "Z"


def register_error_handlers(app: Flask) -> None:
    """Answer every error in JSON: `{"error": {"code": …, "message": …}}`."""
    app.register_error_handler(InvalidFix, _invalid_fix)
    app.register_error_handler(InvalidRequest, _invalid_request)
    app.register_error_handler(TooLarge, _too_large)
    app.register_error_handler(RequestTimeout, _request_timeout)
    app.register_error_handler(Unauthorized, _unauthorized)
    app.register_error_handler(Forbidden, _forbidden)
    app.register_error_handler(MisdirectedRequest, _misdirected)
    app.register_error_handler(LocapiError, _failed)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _bug)


def _error(status: int, code: str, message: str, **more: Any) -> ApiResponse:
    response = cast(ApiResponse, jsonify(error={"code": code, "message": message, **more}))
    response.status_code = status
    response.verdict = code
    return response


def _invalid_fix(error: InvalidFix) -> Response:
    return _error(400, "invalid_fix", str(error), fields=error.fields)


def _invalid_request(error: InvalidRequest) -> Response:
    return _error(400, "invalid_request", str(error), fields=error.fields)


def _too_large(error: TooLarge) -> Response:
    return _error(413, "too_large", str(error))


def _request_timeout(error: RequestTimeout) -> Response:
    # Not 408, because clients retry after 500 only. Not logged, because the client is slow.
    response = _error(500, "request_timeout", str(error))
    response.retry_after = RETRY_AFTER_S
    return response


def _unauthorized(_: Unauthorized) -> Response:
    # The reason is not given, so that nobody learns which tokens exist or existed.
    message = "send a valid token in the header `Authorization: Bearer TOKEN`"
    response = _error(401, "unauthorized", message)
    response.headers["WWW-Authenticate"] = CHALLENGE
    if request.endpoint in _READ_BY_BROWSERS:
        response.headers.add("WWW-Authenticate", BASIC_CHALLENGE)
    return response


def _forbidden(error: Forbidden) -> Response:
    return _error(403, "forbidden", str(error))


def _misdirected(error: MisdirectedRequest) -> Response:
    # Not 400 or 403, at which a phone deletes its fix.
    return _error(421, "misdirected_request", str(error))


def _failed(error: LocapiError) -> Response:
    get_services().error_log(request.endpoint).failed(logs.template(str(error)), str(error))
    status = 503 if request.endpoint == "get_readyz" else 500
    if isinstance(error, Overloaded):
        response = _error(status, "overloaded", "too many requests; try again later")
    elif isinstance(error, DatabaseUnavailable):
        response = _error(status, "database_unavailable", _DATABASE_UNAVAILABLE)
    else:
        return _error(status, "internal_error", _INTERNAL_ERROR)
    response.retry_after = RETRY_AFTER_S
    return response


def _http_error(error: HTTPException) -> Response:
    code = (error.name or "error").lower().replace(" ", "_")
    response = _error(error.code or 500, code, _http_message(error))
    response.headers.extend(
        (header, value) for header, value in error.get_headers() if header != "Content-Type"
    )
    return response


def _http_message(error: HTTPException) -> str:
    path = escaped(request.path)
    if isinstance(error, NotFound):
        return f"there is nothing at {path}; GET /docs lists the requests"
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return f"{path} does not accept {escaped(request.method)}; use {allowed}"
    return error.description or ""


def _bug(error: Exception) -> Response:
    # The exception's own message is not logged, because it may quote a value.
    stack = logs.stack(error)
    get_services().error_log(request.endpoint).failed(stack, f"unexpected error: {stack}")
    return _error(500, "internal_error", _INTERNAL_ERROR)

"""Create the Flask application from its parts."""

import atexit
import logging
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from functools import cache, lru_cache
from time import perf_counter
from typing import Any, cast

from flask import Flask, Request, request
from flask.sessions import NullSession, SessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from pymongo.database import Database
from werkzeug.exceptions import NotFound
from werkzeug.routing import MapAdapter

from locapi import logs, times
from locapi.api import docs, host_check, reading, request_ids, responses, views
from locapi.api.authentication import Authenticator
from locapi.api.downloads import Downloads
from locapi.api.probes import Probes
from locapi.api.responses import ApiResponse
from locapi.api.services import Services
from locapi.errors import MisdirectedRequest
from locapi.fixes import timezones
from locapi.ingest.rejects import RejectStore
from locapi.ingest.store import FixStore
from locapi.monitoring.error_log import ErrorLog
from locapi.monitoring.metrics import Metrics
from locapi.settings import Settings
from locapi.storage import mongo
from locapi.storage.documents import Document

_log = logging.getLogger(__name__)


class _NoSessions(SessionInterface):
    def open_session(self, _app: Flask, _request: Request) -> SessionMixin:
        return _NO_SESSION

    def save_session(self, *_: Any) -> None:
        pass


_NO_SESSION = NullSession()


class Application(Flask):
    """Flask without features that this API does not use and that would slow each request down."""

    session_interface = _NoSessions()
    response_class = ApiResponse

    def __init__(self, settings: Settings) -> None:
        super().__init__("locapi", static_folder=None)
        self.metrics = Metrics()
        self._is_host_allowed = host_check.make_check(settings)
        self._new_ids = request_ids.generate()

    def full_dispatch_request(self) -> ApiResponse:
        """Handle a request under its id, and count the response."""
        start = perf_counter()
        request_id = request_ids.choose(request.environ.get("HTTP_X_REQUEST_ID"), self._new_ids)
        logs.request_id.set(request_id)
        response = cast(ApiResponse, super().full_dispatch_request())
        logs.request_id.set(None)
        response.headers.add("X-Request-ID", request_id)
        response.headers.add("X-Content-Type-Options", "nosniff")
        self.metrics.answered(response.status_code, response.verdict, perf_counter() - start)
        return response

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function: no view and no hook is async."""
        return func

    def dispatch_request(self) -> ResponseReturnValue:
        """Call the view, unless the server or the check of the Host refuses the request."""
        refusal = request.environ.get("locapi.refusal")
        if refusal is not None and request.endpoint != "get_livez":
            raise refusal  # an overloaded process is alive, and a restart would not help
        if self._is_host_allowed and not self._is_host_allowed(request.environ.get("HTTP_HOST")):
            raise MisdirectedRequest(
                "the Host header is not localhost or a loopback address; the operator can add its "
                "name to LOCAPI_ALLOWED_HOSTS, or require tokens with LOCAPI_AUTH=token"
            )
        return super().dispatch_request()

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Match the path only, whatever the Host header is."""
        if request is None:
            return None
        path_info: str = request.environ["PATH_INFO"]
        # Werkzeug would take `//location` for `/location`, and redirect an empty path, as of
        # `GET location`, to `/`.
        if not path_info.startswith("/") or path_info.startswith("//"):
            raise NotFound
        return self._adapter(path_info, request.method)

    @lru_cache(maxsize=64)  # noqa: B019  there is one application
    def _adapter(self, path_info: str, method: str) -> MapAdapter:
        """Return the adapter for a path, which remembers its match."""
        path = path_info.encode("latin-1").decode(errors="replace")
        adapter = self.url_map.bind("localhost", path_info=path, default_method=method)
        adapter.match = cache(adapter.match)  # type: ignore[method-assign]
        return adapter


def create_app(
    settings: Settings | None = None,
    database: Database[Document] | None = None,
    now: Callable[[], datetime] = times.utc_now,
) -> Application:
    """Return the WSGI application. Call it once in each worker process, after the fork.

    If no `database` is given, the one in the settings is opened, and closed when the process ends.
    The API also starts while the database is unavailable, and answers 500 until it is available.
    """
    settings = settings or Settings.from_environ()
    app = Application(settings)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.merge_slashes = False  # 404 for `//location`, not a redirect
    if database is None:
        database = _open_database(settings)
    app.extensions["locapi"] = _services(settings, database, now, app.metrics)
    responses.register_error_handlers(app)
    views.register(app)
    reading.register(app)
    docs.register(app)
    timezones.load()
    return app


def _services(
    settings: Settings,
    database: Database[Document],
    now: Callable[[], datetime],
    metrics: Metrics,
) -> Services:
    metrics_log = ErrorLog(_log, "GET /metrics")
    return Services(
        database=database,
        fixes=FixStore(database, now, metrics),
        authenticator=None if settings.auth == "off" else Authenticator(database, now),
        probes=Probes(database, metrics, metrics_log),
        downloads=Downloads(),
        metrics=metrics,
        rejects=RejectStore(database, settings.rejects_days, now),
        keeps_all_rejects=settings.keep_rejects == "all",
        error_logs={
            "put_location": ErrorLog(_log, "PUT /location"),
            "post_locations": ErrorLog(_log, "POST /locations"),
            "post_owntracks": ErrorLog(_log, "POST /owntracks"),
            "post_overland": ErrorLog(_log, "POST /overland"),
            "get_minutes": ErrorLog(_log, "GET /minutes"),
            "get_map": ErrorLog(_log, "GET /map"),
            "get_readyz": ErrorLog(_log, "GET /readyz"),
            "get_metrics": metrics_log,
            "other": ErrorLog(_log, "another request"),
        },
    )


def _open_database(settings: Settings) -> Database[Document]:
    resources = ExitStack()
    atexit.register(resources.close)
    return resources.enter_context(mongo.open_database(settings))

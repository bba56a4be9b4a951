"""`create_app`: the one place where the API's parts are put together."""

import atexit
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from time import perf_counter
from typing import Any, cast

from flask import Flask, Request
from flask.sessions import NullSession, SessionInterface, SessionMixin
from pymongo.database import Database
from werkzeug.routing import MapAdapter

from locapi import api, mongo, utc
from locapi.api import Answer
from locapi.errors import LocapiError
from locapi.metrics import Metrics
from locapi.mongo import Document
from locapi.settings import Settings
from locapi.tokens import Gate


class _NoSessions(SessionInterface):
    def open_session(self, _app: Flask, _request: Request) -> SessionMixin:
        return _NO_SESSION

    def save_session(self, *_: Any) -> None:
        pass


_NO_SESSION = NullSession()


class Application(Flask):
    """Flask without what this API never asks for and pays for at each request."""

    session_interface = _NoSessions()
    response_class = Answer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.metrics = Metrics()

    def full_dispatch_request(self) -> Answer:
        """Answer a request, and count the answer."""
        start = perf_counter()
        answer = cast(Answer, super().full_dispatch_request())
        self.metrics.answered(answer.status_code, answer.verdict, perf_counter() - start)
        return answer

    def refuse(self, error: LocapiError) -> Answer:
        """Answer a request with an error without looking at it, and count the answer."""
        self.preprocess_request()
        answer = cast(Answer, self.finalize_request(self.handle_user_exception(error)))
        self.metrics.answered(answer.status_code, answer.verdict, 0.0)
        return answer

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what matches a path, whichever host it was sent to."""
        if request is None:
            return None
        # To werkzeug `//location` is `/location`; here it is a path that there is not.
        path = "/" if request.environ["PATH_INFO"].startswith("//") else request.path
        return self.url_map.bind("localhost", path_info=path, default_method=request.method)


def create_app(
    settings: Settings | None = None,
    database: Database[Document] | None = None,
    now: Callable[[], datetime] = utc.now,
) -> Application:
    """Return the WSGI application; call it after the fork, once a process.

    Without a database of the caller's, one is opened as the settings say and
    left when the process ends. A database that is away does not keep the API
    from starting: it answers 500 until the database is back.
    """
    app = Application("locapi", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.merge_slashes = False  # `//location` is another path: 404, not a redirect
    settings = settings or Settings.from_environ()
    if database is None:
        database = _open_database(settings)
    gate = None if settings.auth == "off" else Gate(database, now)
    api.install(app, database, app.metrics, now, gate)
    utc.load()
    return app


def _open_database(settings: Settings) -> Database[Document]:
    resources = ExitStack()
    atexit.register(resources.close)
    return resources.enter_context(mongo.open_database(settings))

"""`create_app`: the one place where the API's parts are put together."""

import atexit
from contextlib import ExitStack
from typing import Any

from flask import Flask, Request
from flask.sessions import NullSession, SessionInterface, SessionMixin
from pymongo.database import Database
from werkzeug.routing import MapAdapter

from locapi import api, mongo, utc
from locapi.mongo import Document
from locapi.settings import Settings
from locapi.tokens import Gate


class _NoSessions(SessionInterface):
    def open_session(self, _app: Flask, _request: Request) -> SessionMixin:
        return _NO_SESSION

    def save_session(self, *_: Any) -> None:
        pass


_NO_SESSION = NullSession()


class _Application(Flask):
    """Flask without what this API never asks for and pays for at each request."""

    session_interface = _NoSessions()

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what matches a path, whichever host it was sent to."""
        if request is None:
            return None
        # To werkzeug `//location` is `/location`; here it is a path that there is not.
        path = "/" if request.environ["PATH_INFO"].startswith("//") else request.path
        return self.url_map.bind("localhost", path_info=path, default_method=request.method)


def create_app(
    settings: Settings | None = None, database: Database[Document] | None = None
) -> Flask:
    """Return the WSGI application; call it after the fork, once a process.

    Without a database of the caller's, one is opened as the settings say and
    left when the process ends. A database that is away does not keep the API
    from starting: it answers 500 until the database is back.
    """
    app = _Application("locapi", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.merge_slashes = False  # `//location` is another path: 404, not a redirect
    settings = settings or Settings.from_environ()
    if database is None:
        database = _open_database(settings)
    api.install(app, database, None if settings.auth == "off" else Gate(database))
    utc.load()
    return app


def _open_database(settings: Settings) -> Database[Document]:
    resources = ExitStack()
    atexit.register(resources.close)
    return resources.enter_context(mongo.open_database(settings))

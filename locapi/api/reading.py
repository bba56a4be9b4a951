"""The endpoints from which a person or a program reads minutes."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from io import TextIOWrapper
from typing import BinaryIO
from urllib.parse import urlencode

from flask import Flask, Response, request, send_file
from pymongo.database import Database
from werkzeug.datastructures import MIMEAccept

from locapi.api import query_string
from locapi.api.downloads import PAGE_SIZE, gently
from locapi.api.query_string import Query
from locapi.api.services import Services, get_services
from locapi.errors import Conflict, Forbidden, InvalidRequest, Misconfigured
from locapi.exporters.changes import Token, read_changes
from locapi.exporters.formats import FORMATS, Format
from locapi.exporters.query import Minutes, read
from locapi.storage import mongo
from locapi.storage.documents import Document
from locapi.times import MINUTE

_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "private, no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


def register(app: Flask) -> None:
    """Add the endpoints."""
    app.add_url_rule("/minutes", view_func=get_minutes, methods=["GET"])
    app.add_url_rule("/map", view_func=get_map, methods=["GET"])
    app.add_url_rule("/", view_func=get_index, methods=["GET"])


def get_minutes() -> Response:
    """Return minutes, or what changed since a token, in a format of the exporters."""
    services = get_services()
    query = _authorize(services, query_string.parse(request.args, query_string.OF_MINUTES))
    name = query.format or _accepted()
    chosen = FORMATS[name]
    _check_changes(query, name, chosen)
    with _explain_missing_extra():
        write = chosen.load()

    def write_to(file: BinaryIO) -> Token | None:
        minutes, token = _read(services.database, query)
        gentle = minutes._replace(pages=gently(minutes.pages))
        if chosen.binary:
            write(gentle, file)
        else:
            text = TextIOWrapper(file, "utf-8", newline="\n", write_through=False)
            write(gentle, text)
            text.flush()
            text.detach()
        return token

    file, token = services.downloads.write(write_to)
    suffix = chosen.suffixes[0] if chosen.suffixes else ".geojson"
    response = send_file(file, chosen.mimetype, download_name=f"minutes{suffix}", conditional=False)
    response.headers.update(_HEADERS)
    if token is not None:
        response.headers["Link"] = f'<{_next(token)}>; rel="next"'
        response.headers["Next-Token"] = str(token)
    services.error_log("get_minutes").succeeded()
    return response


def _next(token: Token) -> str:
    parameters = {**request.args.to_dict(), "changed_since": str(token)}
    return f"{request.path}?{urlencode(parameters)}"


@contextmanager
def _explain_missing_extra() -> Iterator[None]:
    try:
        yield
    except Misconfigured as error:
        raise InvalidRequest(f"{error} on the API's host.") from error


def get_map() -> Response:
    """Return the page that shows tracks on a map."""
    from locapi.map.columns import collect
    from locapi.map.page import render

    services = get_services()
    query = _authorize(services, query_string.parse(request.args, query_string.OF_MAP))

    def write_to(file: BinaryIO) -> None:
        minutes, _ = _read(services.database, query)
        try:
            columns = collect(gently(minutes.pages))
        except Misconfigured as error:
            raise InvalidRequest(f"{error}") from error
        with _explain_missing_extra():
            file.write(render(columns).encode())

    file, _ = services.downloads.write(write_to)
    response = send_file(file, "text/html", conditional=False)
    response.headers.update(_HEADERS)
    services.error_log("get_map").succeeded()
    return response


def get_index() -> Response:
    """Return the page that says what this is."""
    page = resources.files("locapi.api").joinpath("pages", "index.html").read_bytes()
    headers = {"Content-Security-Policy": _PAGE_POLICY, "Referrer-Policy": "no-referrer"}
    return Response(page, headers=headers, content_type="text/html; charset=utf-8")


def _authorize(services: Services, query: Query) -> Query:
    """Return the query, limited to what the token may read."""
    if services.authenticator is None:
        return query
    user_id = services.authenticator.reader_for(request.environ.get("HTTP_AUTHORIZATION"))
    if user_id is None:
        return query
    if query.user_id not in (None, user_id):
        raise Forbidden("this token may read the minutes of its own user_id only")
    return query._replace(user_id=user_id)


def _accepted() -> str:
    by_type = {each.mimetype: name for name, each in reversed(FORMATS.items())}
    offered = sorted(by_type, key=lambda mimetype: mimetype != FORMATS["csv"].mimetype)
    # The parameters of a type, such as a charset, do not choose between those offered.
    accepted = MIMEAccept((each.partition(";")[0], q) for each, q in request.accept_mimetypes)
    best = accepted.best_match(offered) if accepted else offered[0]
    if best is None:
        types = ", ".join(offered)
        raise query_string.invalid(
            {"Accept": [f"names no available type. Write {types}, or use format."]}
        )
    return by_type[best]


def _check_changes(query: Query, name: str, chosen: Format) -> None:
    if query.changed_since is None:
        return
    faults = {}
    if query.resolution != MINUTE:
        faults["resolution"] = ["cannot be combined with changed_since. Leave out one of the two."]
    if not chosen.has_erased:
        others = ", ".join(other for other, each in FORMATS.items() if each.has_erased)
        faults["format"] = [f"{name} cannot list erased users. Write {others}."]
    if faults:
        raise query_string.invalid(faults)


def _read(database: Database[Document], query: Query) -> tuple[Minutes, Token | None]:
    latest = mongo.for_reading(database)
    window = (query.since, query.until)
    if query.changed_since is None:
        minutes = read(latest, query.user_id, *window, query.resolution, page_size=PAGE_SIZE)
        return minutes, None
    try:
        return read_changes(latest, query.changed_since, query.user_id, window, page_size=PAGE_SIZE)
    except Conflict as error:
        raise query_string.invalid({"changed_since": [str(error)]}) from error

"""The endpoints: parse a request, call a service, respond."""

from contextlib import suppress

from flask import Flask, request

from locapi.api.locations import post_locations
from locapi.api.overland import post_overland
from locapi.api.owntracks import post_owntracks
from locapi.api.responses import ApiResponse, utc_text
from locapi.api.services import get_services
from locapi.errors import DatabaseUnavailable, Forbidden, InvalidFix
from locapi.fixes import validation
from locapi.ingest.rejects import NOBODY, Reject


def register(app: Flask) -> None:
    """Add the endpoints."""
    app.add_url_rule("/location", view_func=put_location, methods=["PUT"])
    app.add_url_rule("/locations", view_func=post_locations, methods=["POST"])
    app.add_url_rule("/owntracks", view_func=post_owntracks, methods=["POST"])
    app.add_url_rule("/overland", view_func=post_overland, methods=["POST"])
    app.add_url_rule("/livez", view_func=get_livez, methods=["GET"])
    app.add_url_rule("/readyz", view_func=get_readyz, methods=["GET"])
    app.add_url_rule("/health", view_func=get_readyz, methods=["GET"])
    app.add_url_rule("/metrics", view_func=get_metrics, methods=["GET"])


def put_location() -> ApiResponse:
    """Store one fix."""
    services = get_services()
    user_id = services.authenticated_user()
    body = _body()
    try:
        fix = validation.parse(body)
    except InvalidFix as fault:
        if services.keeps_all_rejects:
            with suppress(DatabaseUnavailable):  # the client gets its 400 all the same
                services.rejects.keep("location", [Reject(user_id or NOBODY, body, fault)])
        raise
    if user_id is not None and fix.user_id != user_id:
        raise Forbidden("this token belongs to another user_id")
    receipt = services.fixes.put(fix)
    services.error_log("put_location").succeeded()
    # None of the three values needs escaping, and a JSON encoder would take a large part of the
    # time of a request.
    response = ApiResponse(
        f'{{"status":"{receipt.status}","fix_time":"{utc_text(receipt.fix_time)}","tz":"{receipt.tz}"}}\n',
        content_type="application/json",
    )
    response.verdict = receipt.status
    return response


def get_livez() -> dict[str, str]:
    """Report that this process responds, whatever the state of the database."""
    return {"status": "ok"}


def get_readyz() -> dict[str, str]:
    """Report whether the database takes writes."""
    services = get_services()
    services.probes.check_ready()
    services.error_log("get_readyz").succeeded()
    return {"status": "ok"}


def get_metrics() -> ApiResponse:
    """Return the metrics of all workers in a format of Prometheus."""
    page = get_services().probes.metrics_page(request.headers.get("Accept", ""))
    return ApiResponse(page.content, content_type=page.content_type)


def _body() -> bytes:
    # The server has read the whole body. Werkzeug's checks would take a tenth of a request's time.
    body: bytes = request.environ["wsgi.input"].read(validation.MAX_BODY_BYTES + 1)
    return body

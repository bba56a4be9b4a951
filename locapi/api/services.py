"""The objects that views work with, made once a process by `create_app`."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import current_app, request
from pymongo.database import Database

from locapi.api.authentication import Authenticator
from locapi.api.downloads import Downloads
from locapi.api.probes import Probes
from locapi.ingest.rejects import RejectStore
from locapi.ingest.store import FixStore
from locapi.monitoring.error_log import ErrorLog
from locapi.monitoring.metrics import Metrics
from locapi.storage.documents import Document


@dataclass(frozen=True)
class Services:
    """What a view may use."""

    database: Database[Document]
    fixes: FixStore
    authenticator: Authenticator | None  # None with LOCAPI_AUTH=off
    probes: Probes
    downloads: Downloads
    metrics: Metrics
    rejects: RejectStore
    keeps_all_rejects: bool  # also those of clients that get a 400
    error_logs: Mapping[str, ErrorLog]  # by endpoint; "other" for the rest

    def authenticated_user(self, *, basic: bool = False) -> str | None:
        """Return the user of the request's token, None with LOCAPI_AUTH=off.

        With `basic`, the token may also be the password of HTTP Basic. Raises as `user_for`.
        """
        if self.authenticator is None:
            return None
        header = request.environ.get("HTTP_AUTHORIZATION")
        return self.authenticator.user_for(header, basic=basic)

    def error_log(self, endpoint: str | None) -> ErrorLog:
        """Return the log for the failures of an endpoint."""
        return self.error_logs.get(endpoint or "other") or self.error_logs["other"]


def get_services() -> Services:
    """Return the services of the application that handles the current request."""
    services: Services = current_app.extensions["locapi"]
    return services

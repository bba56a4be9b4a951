"""Sample a database and its API repeatedly, for `locctl status --watch`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from pymongo.database import Database

from locapi.errors import ApiUnreachable, DatabaseRefused, DatabaseUnavailable
from locapi.monitoring import health_checks, status
from locapi.monitoring.health_checks import Problem
from locapi.monitoring.ingest_rate import IngestRate, Rates
from locapi.monitoring.response_rates import ResponseRates
from locapi.monitoring.status import Status
from locapi.storage.documents import Document


@dataclass(frozen=True)
class Sample:
    """The status, problems and rates at one time; None stands for what could not be read."""

    status: Status
    problems: list[Problem]
    rates: Rates | None = None
    responses: Mapping[str, float] | None = None  # a second, by verdict
    api_error: str | None = None


class Sampler:
    """Read a database, and the API at `api_url` if there is one."""

    def __init__(
        self,
        database: Database[Document],
        where: str,
        max_lag: timedelta,
        api_url: str | None = None,
    ) -> None:
        self._database, self._where, self._max_lag = database, where, max_lag
        self._ingest = IngestRate(database)
        self._responses = None if api_url is None else ResponseRates(api_url)

    def sample(self) -> Sample:
        """Return a sample; an unavailable database or API is a part of it, not an error."""
        found, rates = status.read(self._database, self._where), None
        if not found.error and not found.missing_indexes:
            try:
                rates = self._ingest.sample(found.at)
            except (DatabaseUnavailable, DatabaseRefused) as error:
                found = status.failed(found, error)
        responses = api_error = None
        if self._responses is not None:
            try:
                responses = self._responses.sample(time.monotonic())
            except ApiUnreachable as error:
                api_error = str(error)
        problems = health_checks.find_problems(found, self._max_lag)
        return Sample(found, problems, rates, responses, api_error)

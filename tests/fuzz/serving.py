"""A real server on a database of its own, whose log is checked at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.serving import serve


@contextmanager
def serving(mongodb_uri: str, directory: Path) -> Iterator[str]:
    """Yield the URL of `locctl serve`; at the end its log must show no traceback or lost worker."""
    any_host = {"LOCAPI_ALLOWED_HOSTS": "*"}
    with serve(mongodb_uri, directory, environ=any_host) as running:
        yield running.url
    log = running.log.read_text()
    assert "Traceback" not in log, log
    assert "exit from worker" not in log, log

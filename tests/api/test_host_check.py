"""Without tokens, the API serves only requests for names of this machine."""

import pytest
from pymongo.database import Database

from locapi.api.app import create_app
from locapi.ingest import tokens
from locapi.settings import Settings
from locapi.storage.documents import Document
from tests.conftest import a_fix

LOOPBACK = ["localhost", "LocalHost:5000", "localhost.", "127.0.0.1:80", "127.9.8.7", "[::1]:5000"]
OTHERS = [
    "page.example",
    "page.example:5000",
    "localhost.page.example",
    "127.0.0.1.page.example",
    "192.0.2.1:5000",
    "0.0.0.0",
    "",
    "localhost,page.example",
    "page.example:localhost",
    "[page.example",
]


def status(database: Database[Document], host: str, settings: Settings, path: str) -> int:
    api = create_app(settings, database).test_client()
    return api.put(path, json=a_fix(), headers={"Host": host}).status_code


@pytest.mark.parametrize("host", LOOPBACK)
def test_requests_for_loopback_names_are_served(db: Database[Document], host: str) -> None:
    assert status(db, host, Settings(), "/location") == 200


@pytest.mark.parametrize("host", OTHERS)
def test_requests_for_other_names_are_refused_and_store_nothing(
    db: Database[Document], host: str
) -> None:
    for path in ("/location", "/health", "/no"):
        assert status(db, host, Settings(), path) == 421
    assert db.fixes.count_documents({}) == 0


def test_names_that_are_set_are_served_too(db: Database[Document]) -> None:
    settings = Settings.from_environ({"LOCAPI_ALLOWED_HOSTS": "Api.example, other.example"})
    for host in ("api.example:443", "other.example", "localhost"):
        assert status(db, host, settings, "/location") == 200
    assert status(db, "page.example", settings, "/location") == 421
    anything = Settings.from_environ({"LOCAPI_ALLOWED_HOSTS": "*"})
    assert all(status(db, host, anything, "/location") == 200 for host in OTHERS)


def test_with_tokens_the_host_does_not_matter(db: Database[Document]) -> None:
    authorization = {"Authorization": f"Bearer {tokens.add(db, 'a1')}", "Host": "page.example"}
    api = create_app(Settings(auth="token"), db).test_client()
    assert api.put("/location", json=a_fix(), headers=authorization).status_code == 200
